"""A pre-training config and a corpus, put together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bertsmith.config import EVAL_SHARE, DataConfig, Masking, ModelConfig, RunConfig, resolve
from bertsmith.data import rng
from bertsmith.data.examples import CorpusSource
from bertsmith.data.loader import Cursor, Loader, Phases
from bertsmith.data.segments import Vocabulary, split_documents
from bertsmith.engine.distributed import ALONE, Group
from bertsmith.engine.optim import Optimizer
from bertsmith.engine.precision import Hardware, choose_hardware
from bertsmith.engine.sharding import shard
from bertsmith.engine.train import Length
from bertsmith.errors import ConfigError, CorpusError
from bertsmith.jobs.samples import Sample, heldout_samples
from bertsmith.jobs.source import check_tokenizer, shown_name
from bertsmith.nn.models import count_parameters, masked_lm_of
from bertsmith.recipes.base import Recipe, find
from bertsmith.text.corpus import Corpus
from bertsmith.text.lexicon import Lexicon
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Batch, IntArray, as_one

EVALUATION_SEED = 0
"""Held-out segments and masks are the same for every run on a corpus whose data ends alike:
where masking changes over a run, they are masked as at its end."""


@dataclass(frozen=True)
class Setup:
    """A config and a corpus, put together."""

    config: RunConfig  # with the tokenizer's vocabulary size
    recipe: Recipe
    corpus: Corpus
    tokenizer: Tokenizer
    hardware: Hardware
    sources: tuple[CorpusSource, ...]  # one a phase, see DataConfig.phases
    heldout: tuple[CorpusSource, ...]
    heldout_ranges: IntArray
    lexicons: Mapping[Masking, Lexicon]  # of phrases and entities, where they are masked
    group: Group = ALONE

    @property
    def length(self) -> Length:
        """The budget, once it is no longer in minutes."""
        return Length(self.config.budget.tokens, self.config.budget.steps)

    def loader(self) -> Phases:
        """The training batches."""
        phases = self.config.data.phases
        return Phases([phase.end for phase in phases], self._phase_loader)

    def _phase_loader(self, phase: int) -> Loader:
        batch_tokens = self.config.optim.batch_tokens
        seed = _phase_seed(self.config.seed, phase)
        begin, epochs = self.config.data.phases[phase].begin, self.epochs(phase)
        return Loader(
            self.sources[phase],
            batch_tokens,
            seed,
            micro_tokens=self.config.micro_tokens,
            epochs=epochs,
            begin=begin,
            rank=self.group.rank,
            world_size=self.group.size,
        )

    def epochs(self, phase: int = 0) -> float:
        """How often the whole run would go through the text, taken as in `phase`.

        Endless where nothing changes on the way, or while the budget is still in minutes.
        """
        budget, source = self.config.budget, self.sources[phase]
        if not self.config.data.changes or budget.minutes is not None:
            return math.inf
        if budget.tokens is not None:
            return budget.tokens / source.epoch_tokens()
        assert budget.steps is not None
        seed = _phase_seed(self.config.seed, phase)
        batches = Loader(source, self.config.optim.batch_tokens, seed)
        return budget.steps / batches.num_batches(0)

    def model(self, dtype: torch.dtype | None = None) -> nn.Module:
        """A freshly initialised model on its device, in `dtype` or else its arithmetic."""
        torch.manual_seed(self.config.seed)
        model = self.recipe.model(self.config.model)
        return model.to(self.hardware.device, dtype or self.hardware.dtype)

    def outline(self) -> nn.Module:
        """The model's parts and shapes, without memory for its weights."""
        with torch.device("meta"):
            return self.recipe.model(self.config.model)

    def samples(self) -> list[Sample]:
        """The config's samples, or some found in the held-out text; none for a model that
        fills no masks.

        Raises ConfigError for one without a mask, or longer than the model reads, or that
        nothing would fill.
        """
        if masked_lm_of(self.outline()) is None:
            if self.config.log.fill:
                raise ConfigError(
                    f"the recipe {self.config.recipe!r} fills no masks",
                    where="log.fill",
                    mend="leave it out",
                )
            return []
        limit, mask = self.config.model.max_position_embeddings, self.tokenizer.specials[-1]
        for text in self.config.log.fill:
            ids = self.tokenizer.encode(text).ids
            if self.tokenizer.mask_id not in ids or len(ids) > limit:
                raise ConfigError(
                    f"{text[:60]!r} has {len(ids)} tokens, {ids.count(self.tokenizer.mask_id)} "
                    f"of them {mask}, and the model reads {limit}",
                    where="log.fill",
                    mend=f"give short texts with {mask}",
                )
        configured = [Sample(text) for text in self.config.log.fill]
        return configured or heldout_samples(
            self.corpus, self.tokenizer, self.heldout_ranges, limit - 2
        )

    def heldout_batches(self, phase: int = 0) -> list[Batch]:
        """Held-out segments for one evaluation, the same each time, at least one batch; of each
        the group's share.

        Of the length that they have in `phase`: positions beyond it are not trained yet.
        """
        budget, batch_tokens = self.config.budget, self.config.optim.batch_tokens
        run_tokens = budget.tokens or (budget.steps or 0) * batch_tokens
        wanted = min(self.config.log.eval_tokens, int(EVAL_SHARE * run_tokens))
        loader = Loader(
            self.heldout[phase],
            batch_tokens,
            EVALUATION_SEED,
            micro_tokens=self.config.micro_tokens,
            rank=self.group.rank,
            world_size=self.group.size,
        )
        batches: list[Batch] = []
        taken = 0
        for index in range(loader.num_batches(0)):
            batches += loader.micro_batches(Cursor(0, index))
            taken += loader.num_tokens(Cursor(0, index))
            if taken >= wanted:
                break
        return batches


def prepare(config: RunConfig, corpus: Corpus, group: Group = ALONE) -> Setup:
    """Check `config` against `corpus` and put the recipe's parts together.

    Raises ConfigError for values that do not fit, CorpusError where the text makes no segment, or
    word2vec drops all words that are held out.
    """
    tokenizer = corpus.tokenizer()
    if config.source is None:
        config = resolve(config, {"model": {"vocab_size": tokenizer.vocab_size}})
    else:  # whose embedding may have rows to spare
        check_tokenizer(config.source, corpus)
    _check_padding(config, tokenizer)
    lexicons = read_lexicons(config.data, tokenizer)
    digests = " ".join(f"{name} {lexicons[name].sha256}" for name in sorted(lexicons))
    config = resolve(config, {"data": {"lexicon": digests}})
    recipe = find(config.recipe)
    _check_network(config.model, recipe.config)
    vocabulary = Vocabulary.of(tokenizer, corpus.unigram_counts(), lexicons)
    ranges, heldout = split_documents(corpus, config.data.heldout_share)

    def source(ranges: IntArray, data: DataConfig, seed: int, max_length: int) -> CorpusSource:
        data = data.model_copy(update={"max_length": max_length})
        changed = config.model_copy(update={"data": data})
        return recipe.source(corpus, vocabulary, ranges, changed, seed)

    lengths = [phase.max_length for phase in config.data.phases]
    setup = Setup(
        config=config,
        recipe=recipe,
        corpus=corpus,
        tokenizer=tokenizer,
        hardware=choose_hardware(config.device, config.precision),
        sources=tuple(
            source(ranges, config.data, _phase_seed(config.seed, phase), length)
            for phase, length in enumerate(lengths)
        ),
        heldout=tuple(
            source(heldout, config.data.at(1.0), EVALUATION_SEED, length) for length in lengths
        ),
        heldout_ranges=heldout,
        lexicons=lexicons,
        group=group,
    )
    for planned, part in ((setup.sources[0], "train on"), (setup.heldout[0], "hold out")):
        if not len(planned.plan(0)):
            raise CorpusError(
                f"its documents are too short to {part} even one segment",
                where=corpus.folder,
                mend="build the corpus from more, or longer, texts",
            )
    masks_units = config.data.at(1.0).masking != "token"  # of few of them none may be chosen
    phases = range(len(lengths)) if config.data.subsample or masks_units else ()
    if not all(_heldout_targets(setup, phase) for phase in phases):
        dropped = "left once frequent ones are dropped", ", or set data.subsample=0"
        what, mend = dropped if config.data.subsample else ("to be predicted", "")
        raise CorpusError(
            f"no word of its held-out text is {what}",
            where=corpus.folder,
            mend=f"build the corpus from more text{mend}",
        )
    types = int(setup.heldout[0].segment(0, 0).token_type_ids.max()) + 1
    if 0 < config.model.type_vocab_size < types:
        raise ConfigError(
            f"the recipe {config.recipe!r} tells {types} token types apart, the model "
            f"{config.model.type_vocab_size}",
            where="model.type_vocab_size",
            mend="choose a recipe without pairs",
        )
    return setup


def _heldout_targets(setup: Setup, phase: int) -> int:
    """The masked tokens of one evaluation, or all that the model is given, all shares together."""
    batches = replace(setup, group=ALONE).heldout_batches(phase)
    return sum(len(batch.targets.get("mlm_labels", batch.input_ids)) for batch in batches)


def read_lexicons(data: DataConfig, tokenizer: Tokenizer) -> dict[Masking, Lexicon]:
    """What the run masks phrases and entities by. Raises ConfigError where no file is named."""
    files: dict[Masking, tuple[str, str]] = {
        "phrase": ("phrases", data.phrases),
        "entity": ("entities", data.entities),
    }
    lexicons: dict[Masking, Lexicon] = {}
    for masking in data.maskings & files.keys():
        key, path = files[masking]
        if not path:
            raise ConfigError(
                f"no file, where {key} are to be masked",
                where=f"data.{key}",
                mend="name a dictionary of yours, or find some with `bertsmith corpus phrases`",
            )
        lexicons[masking] = Lexicon.load(path, tokenizer)
    return lexicons


def _check_network(model: ModelConfig, recipe: RunConfig) -> None:
    """ConfigError where `model` sees what the recipe asks it for, or has not the recipe's parts."""
    if recipe.model.causal and not model.causal:
        raise ConfigError(
            f"the recipe {recipe.recipe!r} asks for the next token, which a network that reads "
            "both ways sees",
            where="model.causal",
            mend="leave it out, or choose another recipe",
        )
    wanted = recipe.model.num_decoder_layers > 0
    if wanted != (model.num_decoder_layers > 0):
        raise ConfigError(
            f"the recipe {recipe.recipe!r} trains {'a' if wanted else 'no'} decoder, and here are "
            f"{model.num_decoder_layers} layers of one",
            where="model.num_decoder_layers",
            mend="set it to 1 or more" if wanted else "leave it out",
        )


def _check_padding(config: RunConfig, tokenizer: Tokenizer) -> None:
    """ConfigError where positions begin after another padding than the tokenizer's."""
    offset, pad = config.model.position_offset, tokenizer.pad_id
    if offset not in (0, pad + 1):
        raise ConfigError(
            f"{offset} goes with a tokenizer that pads with {offset - 1}, "
            f"and the corpus' pads with {pad}",
            where="model.position_offset",
            mend=f"use one of `bertsmith tokenizer train --recipe roberta`, or set it to {pad + 1}",
        )


def begin(setup: Setup) -> tuple[Setup, nn.Module, Optimizer]:
    """A fresh model and its optimizer, and the setup whose loss trains it.

    The model is sharded over the group where the config says so: its layers one by one, unless
    they share parameters.
    """
    config, dtype = setup.config, setup.hardware.dtype
    if setup.group.size == 1 or config.distributed == "ddp":
        model = setup.model()
        return setup, model, Optimizer(model, config.optim, group=setup.group)
    model = setup.model(torch.float32)
    lists = [part for part in model.modules() if isinstance(part, nn.ModuleList)]
    layers = [layer for part in lists for layer in part] if config.model.share == "none" else []
    loss = shard(model, setup.recipe.loss, layers, dtype)
    setup = replace(setup, recipe=replace(setup.recipe, loss=loss))
    return setup, model, Optimizer(model, config.optim, group=setup.group, dtype=dtype)


def _phase_seed(seed: int, phase: int) -> int:
    """The run's own for the first phase, another for each one after it."""
    return seed if phase == 0 else rng.key("phase", seed, phase)


def describe(setup: Setup) -> dict[str, str]:
    """What `pretrain` would do, in words, without doing it."""
    config, corpus, hardware = setup.config, setup.corpus, setup.hardware
    parameters = count_parameters(setup.outline())
    (unit, amount), *_ = config.budget.model_dump(exclude_none=True).items()
    return {
        "recipe": f"{config.recipe} ({setup.recipe.citation})",
        **({} if config.source is None else {"goes on from": shown_name(config.source.model)}),
        "parameters": f"{parameters:,}",
        "computes on": f"{hardware.device} in {hardware.precision}: {hardware.reason}",
        "corpus": f"{corpus.num_tokens:,} tokens in {corpus.num_documents:,} documents",
        "unigram entropy": f"{corpus.unigram_entropy:.2f} nats a token",
        "held out": f"{(setup.heldout_ranges[:, 1] - setup.heldout_ranges[:, 0]).sum():,} tokens",
        "an epoch": "; ".join(
            f"{len(lengths):,} segments of up to {phase.max_length}, {lengths.sum():,} tokens"
            for phase, source in zip(config.data.phases, setup.sources, strict=True)
            for lengths in [source.lengths(0)]
        ),
        "a step": f"up to {config.optim.batch_tokens:,} tokens"
        + (f", up to {config.micro_tokens:,} at once" if config.micro_tokens else ""),
        "budget": f"{amount:,} {unit}",
    }


@torch.no_grad()
def evaluate(model: nn.Module, setup: Setup, batches: Sequence[Batch]) -> dict[str, float]:
    """Held-out losses and accuracies, each the mean over all that it counts; the same for the same
    weights.

    `batches` are the group's shares. Seeds torch's generator, for losses that sample.
    """
    torch.manual_seed(EVALUATION_SEED)
    training = model.training
    model.eval()
    sums: dict[str, Tensor] = {}
    for host_batch in as_one(batches):
        batch = setup.group.share(host_batch.to(setup.hardware.device))
        total, named = setup.recipe.loss(model, batch)
        for name, scalar in {"loss": total, **named}.items():
            sums[name] = sums.get(name, 0.0) + scalar * batch.weight
    model.train(training)
    return dict(setup.recipe.scores(setup.group.sums(sums)))
