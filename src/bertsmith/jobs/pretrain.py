"""Pre-training: a run folder that explains itself, survives anything and goes on.

OUT/
  config.toml     every value of the run; a budget in minutes stands there in tokens
  log.jsonl       steps, held-out evaluations, filled-in samples, warnings
  checkpoints/    what a resumed run goes on from
  model/          the finished model in the Hugging Face format, tokenizer included
  generator/      ELECTRA's generator, likewise: a masked LM
  models/         where log.models asks for them, tokens-N/model as it was after N tokens
  report.html     curves and samples
  README.md       what all this is
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from bertsmith.config import RunConfig, overlay, resolve
from bertsmith.data.loader import ROUNDING, Cursor
from bertsmith.engine.distributed import joined
from bertsmith.engine.memory import keep_freed_memory
from bertsmith.engine.optim import Optimizer, make_schedule
from bertsmith.engine.train import DivergenceError, Length, State, train
from bertsmith.errors import ConfigError, TrainingError
from bertsmith.export.huggingface import architecture_of, networks_of, save_model
from bertsmith.export.model_card import model_card
from bertsmith.files import alone_in
from bertsmith.jobs.budget import require_run, settle
from bertsmith.jobs.recorder import Recorder
from bertsmith.jobs.samples import Sample
from bertsmith.jobs.setup import Setup, begin, prepare
from bertsmith.jobs.signals import StopRequest
from bertsmith.jobs.source import continued, shown_name
from bertsmith.nn.models import sizes_of
from bertsmith.recipes.base import find, recipe_names
from bertsmith.report.run import write_run_readme, write_run_report
from bertsmith.schema import parse_assignments, read_toml
from bertsmith.text.corpus import Corpus

MODELS = "models"
"""In a run folder: models kept on the way, in tokens-N/model."""


@dataclass(frozen=True)
class PretrainResult:
    """Where a run stands when the call returns."""

    folder: Path
    finished: bool
    tokens: int
    evaluation: Mapping[str, float]
    """The last held-out losses (nats) and accuracies."""
    exit_status: int

    @property
    def model(self) -> Path:
        """The finished model's folder."""
        return self.folder / "model"


def load_config(
    run_file: str | Path,
    assignments: Iterable[str] = (),
    source: str | Path | None = None,
    out: str | Path | None = None,
) -> RunConfig:
    """The recipe's defaults, the run file and `key=value` assignments over each other.

    In place of a file, the name of a recipe stands for its defaults. `source` is a model folder
    to go on from, whose shape the network then has; where it is gone, the run in `out` that
    began from it has kept what is needed.
    """
    changes = parse_assignments(assignments)
    if source is not None:
        changes = overlay(changes, {"source": {"model": str(source)}})
    path = Path(run_file)
    if path.suffix != ".toml" and not path.is_file():
        where, tables = "--set", changes
        if path.is_dir() and str(run_file) not in recipe_names():
            raise ConfigError(
                "a folder, not a run file",
                where=path,
                mend="give a .toml, such as its config.toml, or a recipe's name and --from MODEL",
            )
        recipe = find(str(run_file))
        if tables.get("recipe", str(run_file)) != str(run_file):
            raise ConfigError(
                f"is {tables['recipe']!r} where the run is of {str(run_file)!r}",
                where="--set recipe",
                mend="name the recipe alone",
            )
    else:
        where, tables = str(path), overlay(read_toml(path), changes)
        if "recipe" not in tables:
            resolve(find("bert").config, tables, where=path)  # names the key that is misspelt
            raise ConfigError(
                "no recipe named", where=path, mend='add a line such as recipe = "bert"'
            )
        recipe = find(str(tables["recipe"]))
    if "source" not in tables:
        return resolve(recipe.config, tables, where=where)
    return continued(recipe.config, tables, None if out is None else Path(out), where)


def pretrain(
    config: RunConfig, corpus: Corpus, out: str | Path, samples: Sequence[Sample] = ()
) -> PretrainResult:
    """Train, or go on training, the run in `out` until its budget is used or a signal comes.

    `samples` are filled in at each evaluation; without any, the config's, or else some found
    in the held-out text. Under torchrun all processes train together, and the first of them
    reads and writes `out`. Raises ConfigError where `out` holds another run or anything else, or
    this one is under way there, TrainingError where a loss is not finite, or a GPU's memory too
    small.
    """
    keep_freed_memory()
    out = Path(out)
    with joined() as group, ExitStack() as kept:
        setup = prepare(config, corpus, group)
        samples = samples or setup.samples()
        if group.leads:
            require_run(out)
            out.mkdir(parents=True, exist_ok=True)
            kept.enter_context(alone_in(out, ConfigError))
        with _memory_of(setup):
            setup = replace(setup, config=settle(setup, out))
        setup, model, optimizer = begin(setup)
        with (
            _memory_of(setup),
            closing(Recorder(setup, out, samples)) as recorder,
            StopRequest() as stop,
        ):
            try:
                state = _train(setup, out, model, optimizer, recorder, stop)
            except DivergenceError as error:
                failure = recorder.diverged(error)
                if group.leads:
                    write_run_report(out)
                raise failure from None
        finished = setup.length.progress(state) >= 1.0
        weights = optimizer.weights()
        if group.leads:
            if finished:
                _publish(setup, out, weights, recorder.evaluation)
            write_run_report(out)
            write_run_readme(out)
    return PretrainResult(out, finished, state.tokens, recorder.evaluation, stop.exit_status)


@contextmanager
def _memory_of(setup: Setup) -> Iterator[None]:
    """Where a GPU's is too small for what goes through the network at once, say how to mend it."""
    try:
        yield
    except torch.OutOfMemoryError:
        config, size = setup.config, setup.group.size
        at_once = config.micro_tokens or config.optim.batch_tokens // size
        raise TrainingError(
            f"no memory for {at_once:,} tokens at once",
            where=str(setup.hardware.device),
            mend="set micro_tokens to fewer; a run that has begun goes on from its last checkpoint",
        ) from None


def _train(
    setup: Setup,
    out: Path,
    model: nn.Module,
    optimizer: Optimizer,
    recorder: Recorder,
    stop: StopRequest,
) -> State[Cursor]:
    """Run to the end of the budget, or of the step in which a signal came; the state then.

    Whether to stop, and whether to save, is one decision of all processes.
    """
    group = setup.group
    state = recorder.resume(model, optimizer)
    if setup.length.progress(state) >= 1.0:
        return state
    with closing(setup.loader().stream(state.cursor)) as batches:
        for step in train(
            model,
            setup.recipe.loss,
            batches,
            optimizer,
            make_schedule(setup.config.optim),
            setup.length,
            state,
            setup.config.seed,
            group,
        ):
            before, state = state, step.state
            recorder.step(step)
            if _crosses(setup.length, before, state, setup.config.log.evaluations):
                recorder.evaluate(model, state)
            if _crosses(setup.length, before, state, setup.config.log.models):
                weights = optimizer.weights()
                if group.leads:
                    kept = out / MODELS / f"tokens-{state.tokens:012d}"
                    _publish(setup, kept, weights, recorder.evaluation)
            signal_number, is_due = group.largest(stop.signal_number or 0, recorder.is_due)
            if signal_number:
                stop.signal_number = signal_number
                break
            if is_due:
                recorder.checkpoint(optimizer, state)
    recorder.end(state, "budget" if setup.length.progress(state) >= 1.0 else "stopped")
    recorder.checkpoint(optimizer, state)
    return state


def _crosses(length: Length, before: State[Cursor], after: State[Cursor], times: int) -> bool:
    """Whether one of `times` evenly spread moments of the run lies between two states."""
    begin, end = (int(length.progress(state) * times + ROUNDING) for state in (before, after))
    return begin < end


def _publish(
    setup: Setup, out: Path, weights: Mapping[str, Tensor], evaluation: Mapping[str, float]
) -> None:
    """Write `out`/model, and what else is kept of the network, from the fp32 `weights`."""
    model = setup.recipe.model(setup.config.model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # shared ones once, as in `weights`
            parameter.copy_(weights[name])
    corpus, config = setup.corpus, setup.config
    letters = (("L", "num_layers"), ("H", "hidden_size"))
    for name, network in networks_of(model).items():
        sizes = sizes_of(network)
        size = [f"{letter}{sizes[key]}" for letter, key in letters if key in sizes]
        card = model_card(
            "-".join([config.recipe, *size]),
            architecture=architecture_of(network)[1],
            summary=_origin(config),
            data=f"{corpus.num_tokens:,} tokens in {corpus.num_documents:,} documents.",
            sizes=sizes,
            training={**config.budget.model_dump(exclude_none=True), **config.optim.model_dump()},
            scores={f"held-out {key}": f"{value:.3f}" for key, value in evaluation.items()},
            mask="" if config.model.causal else setup.tokenizer.specials[-1],
        )
        save_model(out / name, network, setup.tokenizer, card=card)


def _origin(config: RunConfig) -> str:
    """For the model card, what the run went on from; empty where it began anew."""
    source = config.source
    if source is None:
        return ""
    return (
        f"Pre-trained further with bertsmith, from `{shown_name(source.model)}` (SHA-256 of its "
        f"weights `{source.model_sha256}`). What that model was made from holds for this one, too."
    )
