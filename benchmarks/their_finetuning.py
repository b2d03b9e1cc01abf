"""A fine-tuning by transformers' Trainer, as one of its example scripts sets it up."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.finetuning_sets import Labels
from benchmarks.their_scripts import script_of
from bertsmith.tasks.choice import ChoiceTask
from bertsmith.tasks.metrics import Metrics
from bertsmith.tasks.tables import Labelled

EVALUATION_BATCH = 32


def quieten() -> None:
    """Let transformers print no warnings and no bars."""
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


class TheirRun:
    """One run, all that is to be asked of it afterwards included."""

    def __init__(
        self,
        labels: Labels,
        model: Path,
        seed: int = 0,
        *,
        bf16: bool = False,
        group_by_length: bool = False,
    ) -> None:
        quieten()
        transformers.set_seed(seed)
        self.recipe = asdict(labels.recipe)
        """How it is trained."""
        self._script = script_of(labels, transformers.AutoTokenizer.from_pretrained(str(model)))
        self._folder = tempfile.TemporaryDirectory()
        self.precision = "bfloat16 autocast" if bf16 else "float32"
        recipe = labels.recipe
        # Stories with four options: two steps of half a batch take half the memory.
        parts = 2 if isinstance(labels.task, ChoiceTask) else 1
        head = {"num_labels": len(labels.names)} if labels.names else {}
        self._trainer = transformers.Trainer(
            model=self._script.network.from_pretrained(str(model), **head),
            args=transformers.TrainingArguments(
                output_dir=self._folder.name,
                learning_rate=recipe.lr,
                adam_epsilon=recipe.eps,
                per_device_train_batch_size=recipe.batch_size // parts,
                gradient_accumulation_steps=parts,
                per_device_eval_batch_size=EVALUATION_BATCH,
                num_train_epochs=recipe.epochs,
                seed=seed,
                bf16=bf16,
                use_cpu=True,
                train_sampling_strategy="group_by_length" if group_by_length else "random",
                remove_unused_columns=False,
                dataloader_pin_memory=False,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=self._script.features(labels.train),
            data_collator=self._script.collator,
            processing_class=self._script.tokenizer,
        )

    @property
    def model(self) -> torch.nn.Module:
        """The network."""
        assert isinstance(self._trainer.model, torch.nn.Module)
        return self._trainer.model

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps."""
        return len(self._trainer.get_train_dataloader())

    def train(self, on_step: Callable[[], None] = lambda: None) -> None:
        """All epochs."""
        self._trainer.add_callback(_After(on_step))
        with contextlib.redirect_stdout(io.StringIO()):  # a summary that no argument silences
            self._trainer.train()

    def metrics(self, data: Labelled[Any]) -> Metrics:
        """Of its answers to `data`."""
        features: Any = self._script.features(data)
        outputs = self._trainer.predict(features).predictions
        return self._script.metrics(data, outputs)

    def close(self) -> None:
        """Take away what Trainer has written."""
        self._folder.cleanup()


class _After(transformers.TrainerCallback):
    """Calls a function after every step."""

    def __init__(self, on_step: Callable[[], None]) -> None:
        self._on_step = on_step

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """See TrainerCallback."""
        self._on_step()
