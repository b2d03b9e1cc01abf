"""Masked-LM training as a user of transformers writes it, for benchmarks/quality.py.

    python -m benchmarks.their_pretraining CORPUS --out DIR (--minutes N | --tokens N) [--tuned]

BertForMaskedLM (L4 H256), Trainer with its defaults (batches of 8 sequences, AdamW, 5e-5, linear
decay), DataCollatorForLanguageModeling, and text as the example script run_mlm.py groups it: every
document between [CLS] and [SEP], all of them end to end, cut every 128 tokens. What is measured
before the clock starts is for their good: whether bfloat16 autocast is faster than fp32 here, and
how many steps the minutes allow, so that the rate is down at 0 at their end. `--tuned` is what
someone who knows better would change: batches of 32 sequences, a peak rate of 5e-4, a tenth of the
run warm-up. Text of the held-out documents is left out, as ours leaves it out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
)

from benchmarks.mistakes import told_in_a_line
from bertsmith.config import DataConfig
from bertsmith.data.segments import split_documents
from bertsmith.text.corpus import Corpus

LENGTH = 128
BATCH = 8
"""Trainer's default."""
TRIAL_STEPS = 12
TUNED: dict[str, Any] = {
    "per_device_train_batch_size": 32,
    "learning_rate": 5e-4,
    "warmup_steps": 0.1,
}
"""A `warmup_steps` below 1 is a share of the run."""


class Blocks(torch.utils.data.Dataset[dict[str, Any]]):
    """The training documents' tokens end to end, LENGTH at a time."""

    def __init__(self, corpus: Corpus) -> None:
        tokenizer = corpus.tokenizer()
        ranges, _ = split_documents(corpus, DataConfig().heldout_share)
        parts: list[np.ndarray[Any, Any]] = []
        for begin, end in ranges:
            parts += [
                np.array([tokenizer.cls_id]),
                corpus.tokens[begin:end],
                np.array([tokenizer.sep_id]),
            ]
        stream = np.concatenate(parts)
        self._blocks = stream[: len(stream) // LENGTH * LENGTH].reshape(-1, LENGTH)

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self._blocks[index].astype(np.int64)}


class Clock(transformers.TrainerCallback):
    """The seconds of every step, and the losses with the steps they were logged at."""

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.seconds: list[float] = []
        self.losses: list[tuple[int, float]] = []

    def on_train_begin(self, *arguments: Any, **further: Any) -> None:
        """Begin."""
        self.last = time.perf_counter()

    def on_step_end(self, *arguments: Any, **further: Any) -> None:
        """One more step."""
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now

    def on_log(self, *arguments: Any, **further: Any) -> None:
        """The mean loss since the last one."""
        logs = further["logs"]
        if "loss" in logs:
            self.losses.append((len(self.seconds), float(logs["loss"])))


@told_in_a_line()
def main() -> None:
    """Train for what is asked for, and leave DIR/model and DIR/run.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--minutes", type=float)
    budget.add_argument("--tokens", type=int)
    parser.add_argument("--precision", choices=["float32", "bfloat16"])
    parser.add_argument("--tuned", action="store_true")
    arguments = parser.parse_args()
    corpus = Corpus.open(arguments.corpus)
    tokenizer = AutoTokenizer.from_pretrained(corpus.folder / "tokenizer")
    blocks = Blocks(corpus)

    def train(steps: int, bf16: bool) -> tuple[Trainer, Clock]:
        torch.manual_seed(0)
        clock = Clock()
        trainer = Trainer(
            model=BertForMaskedLM(
                BertConfig(
                    vocab_size=len(tokenizer),
                    num_hidden_layers=4,
                    num_attention_heads=4,
                    hidden_size=256,
                    intermediate_size=1024,
                    max_position_embeddings=512,
                )
            ),
            args=TrainingArguments(
                output_dir=str(arguments.out / "trainer"),
                max_steps=steps,
                bf16=bf16,
                save_strategy="no",
                report_to="none",
                logging_steps=max(1, steps // 200),
                disable_tqdm=True,
                use_cpu=not torch.cuda.is_available(),
                **(TUNED if arguments.tuned else {}),
            ),
            data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15),
            train_dataset=blocks,
            callbacks=[clock],
        )
        trainer.train()
        return trainer, clock

    tried = [arguments.precision] if arguments.precision else ["float32", "bfloat16"]
    trials = {
        precision: _seconds_per_step(train(TRIAL_STEPS, precision == "bfloat16")[1])
        for precision in tried
    }
    precision = min(trials, key=trials.__getitem__)
    if arguments.tokens:
        batch = TUNED["per_device_train_batch_size"] if arguments.tuned else BATCH
        steps = round(arguments.tokens / batch / LENGTH)
    else:
        steps = round(60 * arguments.minutes / trials[precision])
    trainer, clock = train(max(1, steps), precision == "bfloat16")
    trainer.save_model(str(arguments.out / "model"))
    tokenizer.save_pretrained(arguments.out / "model")
    batch = trainer.args.per_device_train_batch_size
    summary = {
        "steps": len(clock.seconds),
        "tokens": len(clock.seconds) * batch * LENGTH,
        "seconds": sum(clock.seconds),
        "precision": precision,
        "losses": [(step * batch * LENGTH, loss) for step, loss in clock.losses],
    }
    (arguments.out / "run.json").write_text(json.dumps(summary) + "\n", encoding="utf-8")


def _seconds_per_step(clock: Clock) -> float:
    return statistics.median(clock.seconds[2:])


if __name__ == "__main__":
    main()
