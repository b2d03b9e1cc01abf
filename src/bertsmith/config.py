"""Everything that decides a pre-training run, in typed and frozen classes.

A run file holds only what differs from its recipe's defaults. `resolve` overlays defaults, the
file and the `--set key=value` pairs, in that order. What comes out holds every value, so that
the saved config.toml has no hidden defaults.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from bertsmith.schema import Config, validate

MAX_VOCABULARY = 1 << 24
"""Tokens; what says it has more is damaged or hostile."""
EVAL_SHARE = 0.01
"""Of a run's tokens, the most that one evaluation reads."""


class ModelConfig(Config):
    """The network's shape. `vocab_size` comes from the tokenizer, never from a run file.

    Devlin et al. 2019 (BERT) is norm "post", positions "learned", feed_forward "gelu",
    bias true. Warner et al. 2024 (ModernBERT) is norm "pre", positions "rotary",
    feed_forward "geglu", bias false. Lan et al. 2020 (ALBERT) is BERT with feed_forward
    "gelu_tanh", an embedding_size of its own and share "all". Liu et al. 2019 (RoBERTa) is BERT
    with one token type and a position_offset of 2; Sanh et al. 2019 (DistilBERT) BERT without
    token types and with pooler "relu". Raffel et al. 2020 (T5) is norm
    "pre" of norm_kind "rms" without embedding_norm, positions "relative", feed_forward "relu",
    bias false, scale_logits true, with as many decoder layers as encoder layers.
    """

    vocab_size: int = Field(0, ge=0)
    num_layers: int = Field(4, ge=1, le=512)
    num_decoder_layers: int = Field(0, ge=0, le=512)
    """Layers of the decoder; 0: an encoder alone."""
    num_heads: int = Field(4, ge=1)
    hidden_size: int = Field(256, ge=1, le=65536)
    embedding_size: int = Field(0, ge=0, le=65536)
    """Width of the embedding tables, projected to hidden_size; 0: hidden_size, no projection."""
    share: Literal["none", "all", "attention", "feed_forward"] = "none"
    """Which parameters, with their norms, are the same in every layer."""
    intermediate_size: int = Field(1024, ge=1, le=1 << 20)
    max_position_embeddings: int = Field(512, ge=1, le=1 << 20)
    position_offset: int = Field(0, ge=0, le=1024)
    """Rows of the position table before the first token's: RoBERTa's padding id + 1."""
    type_vocab_size: int = Field(2, ge=0, le=1024)
    """Token types (sentence A, sentence B); 0: none, as in ModernBERT."""
    norm: Literal["post", "pre"] = "post"
    norm_kind: Literal["layer", "rms"] = "layer"
    """LayerNorm, or RMSNorm, which only scales (Zhang & Sennrich 2019)."""
    tied: bool = True
    """Whether words are told by their own embeddings; else by an output matrix apart."""
    embedding_norm: bool = True
    """Whether embeddings are normalised; a pre-norm network's first layer has no norm then."""
    positions: Literal["learned", "rotary", "relative"] = "learned"
    """relative is T5's: a learnt bias on attention scores, which nothing else scales."""
    causal: bool = False
    """Whether a token's attention sees only itself and what stands before it."""
    relative_buckets: int = Field(32, ge=4, le=4096)
    """Classes of distances with a bias each: half of them, or in an encoder a quarter on each
    side, for single distances, the others for ever wider ranges of them ..."""
    relative_distance: int = Field(128, ge=2, le=1 << 20)
    """... up to this; what is further away has the last bucket."""
    feed_forward: Literal["gelu", "gelu_tanh", "relu", "geglu"] = "gelu"
    """gelu_tanh is GELU's approximation by tanh, "gelu_new" in Hugging Face's configs."""
    bias: bool = True
    pooling: Literal["cls", "mean"] = "cls"
    """What a classifier sees of a sequence: [CLS], which only an objective on whole sequences
    (next sentence) trains, or the mean of its tokens."""
    pooler: Literal["tanh", "gelu", "relu"] = "tanh"
    """Activation of a post-norm classifier's layer between pooling and classes: BERT's tanh,
    ELECTRA's GELU, or DistilBERT's ReLU."""
    generator_size: float = Field(0.25, gt=0, le=1)
    """ELECTRA's generator: its width as a share of the discriminator's; nothing elsewhere."""
    dropout: float = Field(0.1, ge=0, lt=1)
    attention_dropout: float = Field(0.1, ge=0, lt=1)
    inner_dropout: float = Field(0.0, ge=0, lt=1)
    """Inside the feed-forward, and on what an encoder-decoder's two halves put out (T5)."""
    scale_logits: bool = False
    """Whether an encoder-decoder's scores are divided by the square root of hidden_size (T5)."""
    layer_norm_eps: float = Field(1e-12, gt=0)
    initializer_range: float = Field(0.02, gt=0)
    rope_theta: float = Field(10_000.0, gt=0)

    @model_validator(mode="after")
    def _heads_divide(self) -> ModelConfig:
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of num_heads {self.num_heads}"
            )
        if self.positions == "rotary" and self.hidden_size // self.num_heads % 2:
            raise ValueError("rotary positions need an even head size")
        if self.positions == "relative" and self.relative_distance <= self.relative_buckets // 2:
            raise ValueError("relative_distance must be more than half of relative_buckets")
        if self.relative_buckets % 4:
            raise ValueError("relative_buckets must be a multiple of 4")
        if self.num_decoder_layers and self.causal:
            raise ValueError("causal is for an encoder alone: a decoder is so of itself")
        if self.num_decoder_layers and self.positions == "rotary":
            raise ValueError("a decoder has learned or relative positions, not rotary ones")
        if self.position_offset and self.positions != "learned":
            raise ValueError('position_offset goes with positions "learned"')
        if self.num_decoder_layers and not self.tied:
            raise ValueError("a decoder says words by their embeddings: tied must be true")
        if self.num_decoder_layers and (self.share != "none" or self.embedding_size):
            raise ValueError('a decoder goes with share "none" and embedding_size 0')
        if self.share != "none" and self.norm == "pre":
            raise ValueError('share needs norm "post": the norms of a pre-norm encoder differ')
        return self

    @property
    def head_size(self) -> int:
        """Hidden units of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def attention_scale(self) -> float:
        """What products of queries and keys are multiplied by."""
        return 1.0 if self.positions == "relative" else self.head_size**-0.5

    @property
    def embedding_width(self) -> int:
        """Columns of the embedding tables."""
        return self.embedding_size or self.hidden_size


Masking = Literal["token", "word", "span", "ngram", "phrase", "entity"]
"""What is masked whole; `bertsmith.data.corrupt` has one function for each."""


class Stage(Config):
    """A part of the run with values of its own, in place of those of DataConfig.

    Short segments first (BERT, appendix A.2), or one masking after another (ERNIE, section
    3.2).
    """

    share: float = Field(gt=0, le=1)
    """Of the run."""
    masking: Masking | None = None
    max_length: int | None = Field(None, ge=8)


class Phase(NamedTuple):
    """A part of the run in which segments have one length: a stream of batches of its own."""

    begin: float  # share of the run that is over
    end: float
    max_length: int


class DataConfig(Config):
    """Segments and their corruption."""

    max_length: int = Field(128, ge=8)
    """Tokens of a segment, special tokens included."""
    short_rate: float = Field(0.1, ge=0, le=1)
    """Share of segments aimed at a random shorter length (BERT's short_seq_prob)."""
    masking: Masking = "token"
    """What is masked whole."""
    stages: tuple[Stage, ...] = ()
    """Parts of the run, one after another, their shares adding up to 1."""
    mask_rate: float = Field(0.15, gt=0, lt=1)
    """Share of the regular tokens that are to be predicted."""
    final_mask_rate: float | None = Field(None, gt=0, lt=1)
    """Where given, the rate goes linearly from `mask_rate` to this over the run."""
    phrases: str = ""
    """A file with a phrase a line, in the first column, for masking "phrase" ..."""
    entities: str = ""
    """... and one for "entity"; both are looked for from the current folder."""
    lexicon: str = ""
    """What the files hold, by SHA-256; written by the run, not by hand."""
    span_p: float = Field(0.2, gt=0, le=1)
    """Of the geometric distribution of a span's length in words, truncated ..."""
    span_max: int = Field(10, ge=1)
    """... at so many; also the longest n-gram."""
    span_mean: float = Field(3.0, ge=1)
    """Tokens of a span that is cut out for a decoder, on average (T5)."""
    mask_token_share: float = Field(0.8, ge=0, le=1)
    """Of the chosen tokens, how many become [MASK] ..."""
    random_token_share: float = Field(0.1, ge=0, le=1)
    """... how many become a random token; the rest stay as they are."""
    window: int = Field(5, ge=1, le=1000)
    """Of word2vec: a word's context reaches so many words to each side, at most."""
    negatives: int = Field(5, ge=1, le=1000)
    """Of word2vec: noise words drawn for each word."""
    subsample: float = Field(0.0, ge=0, le=1)
    """Of word2vec: the frequency above which words are dropped at random; 0: none are."""
    heldout_share: float = Field(0.01, gt=0, lt=0.5)
    """Share of documents kept out of training, for evaluation; above a tenth, or of few documents,
    of each one's text, from its end."""

    @model_validator(mode="after")
    def _shares(self) -> DataConfig:
        if self.mask_token_share + self.random_token_share > 1:
            raise ValueError("mask_token_share and random_token_share add up to more than 1")
        total = sum(stage.share for stage in self.stages)
        if self.stages and abs(total - 1) > 0.005:
            raise ValueError(f"the shares of stages add up to {total:g}, not 1")
        return self

    def at(self, progress: float) -> DataConfig:
        """What holds when `progress`, 0 to 1, of the run is over: one length, masking, rate."""
        changes: dict[str, Any] = {"stages": (), "final_mask_rate": None}
        if self.stages:
            begins = accumulate(stage.share for stage in self.stages[:-1])
            stage = self.stages[bisect_right([*begins], progress)]
            changes |= stage.model_dump(exclude={"share"}, exclude_none=True)
        if self.final_mask_rate is not None:
            rise = self.final_mask_rate - self.mask_rate
            changes["mask_rate"] = self.mask_rate + progress * rise
        return self.model_copy(update=changes)

    @property
    def maskings(self) -> frozenset[Masking]:
        """All there are over the run."""
        return frozenset(
            stage.masking or self.masking for stage in self.stages or (Stage(share=1),)
        )

    @property
    def changes(self) -> bool:
        """Whether `at` says different things at different times."""
        return bool(self.stages) or self.final_mask_rate is not None

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The whole run, cut where the length of segments changes."""
        found: list[Phase] = []
        end = 0.0
        for stage in self.stages:
            begin, end = end, end + stage.share
            length = stage.max_length or self.max_length
            if found and found[-1].max_length == length:
                found[-1] = found[-1]._replace(end=end)
            else:
                found.append(Phase(begin, end, length))
        if not found:
            return (Phase(0.0, 1.0, self.max_length),)
        return (*found[:-1], found[-1]._replace(end=1.0))

    def phase_at(self, progress: float) -> int:
        """Which of `phases` it is when `progress`, 0 to 1, of the run is over."""
        return bisect_right([phase.end for phase in self.phases[:-1]], progress)

    @property
    def longest(self) -> int:
        """Tokens of a segment, at most, over the whole run."""
        return max(phase.max_length for phase in self.phases)


class OptimConfig(Config):
    """AdamW throughout, or Muon on the hidden matrices and AdamW on the rest."""

    name: Literal["adamw", "muon"] = "adamw"
    lr: float = Field(1e-4, gt=0)
    """Peak learning rate of AdamW."""
    muon_lr: float = Field(0.02, gt=0)
    """Peak learning rate of Muon; unused by adamw."""
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    eps: float = Field(1e-6, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    grad_clip: float = Field(1.0, gt=0)
    """Largest L2 norm of the whole gradient."""
    batch_tokens: int = Field(4096, ge=8)
    """Tokens of one optimizer step, at most."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Share of the run over which the rates rise from 0."""
    decay: Literal["linear", "stable"] = "linear"
    """After warm-up: linear to 0, or stable and then linear to 0 (WSD)."""
    decay_share: float = Field(0.3, gt=0, le=1)
    """Share of the run spent decaying where decay is "stable"."""


class BudgetConfig(Config):
    """How long to train: exactly one of the three.

    Minutes are turned into tokens once, from measured speed, and the saved config then
    holds tokens, so that the run can be replayed.
    """

    tokens: int | None = Field(None, ge=1)
    steps: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0)
    from_minutes: float | None = Field(None, gt=0)
    """What `tokens` were turned from; written by the run, not by hand."""

    @model_validator(mode="after")
    def _one(self) -> BudgetConfig:
        given = [name for name in ("tokens", "steps", "minutes") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of tokens, steps, minutes; got {given or 'none'}")
        return self


class LogConfig(Config):
    """What a run writes down, and how often; intervals are shares of the run or seconds."""

    evaluations: int = Field(10, ge=1)
    """Held-out evaluations over the run, evenly spread, the last at its end."""
    eval_tokens: int = Field(100_000, ge=1)
    """Held-out tokens per evaluation, at most; and at most EVAL_SHARE of the budget."""
    checkpoint_minutes: float = Field(2.0, gt=0)
    keep_checkpoints: int = Field(2, ge=2)
    """At least two: should the newest prove damaged, the one before is taken."""
    models: int = Field(0, ge=0)
    """Models kept over the run, evenly spread, the last at its end, to look at how it learnt."""
    fill: tuple[str, ...] = ()
    """Sentences with [MASK] that each evaluation fills in."""


class SourceConfig(Config):
    """The model that a run goes on from; `model` then has its shape."""

    model: str = Field(min_length=1)
    """Its folder."""
    model_sha256: str | None = None
    """Of its weights; written by the run, and checked where it is given."""
    generator_sha256: str | None = None
    """Likewise, of the generator beside an ELECTRA."""


class RunConfig(Config):
    """Everything that decides a pre-training run, apart from its corpus."""

    recipe: str
    source: SourceConfig | None = None
    seed: int = Field(0, ge=0, lt=1 << 63)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    distributed: Literal["ddp", "fsdp"] = "ddp"
    """What each of several processes holds: all weights and moments, or its share of them."""
    micro_tokens: int | None = Field(None, ge=8)
    """Tokens that go through the network at once in each process, at most, or one segment: where
    memory is short of a whole batch. The gradients of the parts add up to the batch's."""
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optim: OptimConfig = OptimConfig()
    budget: BudgetConfig = BudgetConfig(minutes=5)
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _fits(self) -> RunConfig:
        longest = self.data.longest
        if longest > self.model.max_position_embeddings:
            raise ValueError(
                f"data.max_length {longest} is longer than "
                f"model.max_position_embeddings {self.model.max_position_embeddings}"
            )
        if self.optim.batch_tokens < longest:
            raise ValueError(
                f"optim.batch_tokens {self.optim.batch_tokens} holds no segment of "
                f"data.max_length {longest}"
            )
        return self


def overlay(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, table by table.

    The budget is replaced whole: minutes given over a default in tokens means minutes.
    """
    merged = dict(base)
    for key, value in changes.items():
        if key != "budget" and isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = overlay(merged[key], value)
        else:
            merged[key] = value
    return merged


def resolve(defaults: RunConfig, *changes: Mapping[str, Any], where: str | Path = "") -> RunConfig:
    """`defaults` with each of `changes` laid over it. Raises one ConfigError for all problems."""
    tables: dict[str, Any] = defaults.model_dump(exclude_none=True)
    for change in changes:
        tables = overlay(tables, change)
    return validate(RunConfig, tables, where)
