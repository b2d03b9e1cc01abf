"""What a tensor is called: in our networks, in a model folder, and in between.

Every family is read and written through one set of neutral names, one prefix a part:

    encoder.*           the encoder, named as in `bertsmith.nn`
    decoder.*           the decoder of an encoder-decoder, likewise
    transform.*         the layer between encoder and vocabulary
    vocabulary.bias     the bias of the vocabulary scores (the matrix is the word embedding)
    untied.*            matrix and bias of the vocabulary scores, where the matrix is another
    pooler.*            BERT's tanh layer on [CLS]
    next_sentence.*     BERT's pair classifier
    sentence_order.*    ALBERT's
    replaced_token.*    ELECTRA's replaced-token head
    classifier.*        the classifier of a fine-tuned model, or the scorer of options
    span.*              the start and end vectors of one that answers questions
    crf.*               the label transitions of a tagger, beside its classifier
    mix.*, recurrent.*  of a tagger on a frozen encoder
    input.*, output.*   the two tables of word2vec, which has no encoder

So a pre-trained pooler or transform reaches the head of a classifier by its name alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from bertsmith.config import ModelConfig
from bertsmith.export.families.base import Family, Kind, Replacements
from bertsmith.nn.decoder import Decoder
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.features import tagger_of
from bertsmith.nn.heads import Pooler, ReplacedTokenHead, Transform, uses_pooler
from bertsmith.nn.word2vec import Word2Vec

Shape = tuple[int, ...]

WORD_EMBEDDING = "encoder.embeddings.word.weight"

_OURS: Replacements = (
    ("mlm_head.transform.", "transform."),
    ("mlm_head.bias", "vocabulary.bias"),
    ("mlm_head.decoder.", "untied."),
    ("next_sentence_head.pooler.", "pooler."),
    ("next_sentence_head.classifier.", "next_sentence."),
    ("sentence_order_head.pooler.", "pooler."),
    ("sentence_order_head.classifier.", "sentence_order."),
    ("replaced_token_head.", "replaced_token."),
    ("head.classifier.", "classifier."),
    ("head.crf.", "crf."),
    ("head.mix.", "mix."),
    ("head.recurrent.", "recurrent."),
    ("head.span.", "span."),
)


_OLD: Replacements = (
    (".LayerNorm.gamma", ".LayerNorm.weight"),
    (".LayerNorm.beta", ".LayerNorm.bias"),
)
_BARE = re.compile(
    r"(embeddings|embeddings_project|encoder|transformer|layers|final_norm|pooler)\."
)


def neutral_name(own: str, config: ModelConfig) -> str:
    """The neutral name of `own`, a name in the state of a network that is saved."""
    if own.startswith("head.transform."):
        part = "pooler." if uses_pooler(config) else "transform."
        return part + own.removeprefix("head.transform.")
    if own == "mlm_head.bias" and not config.tied:
        return "untied.bias"
    return own if own.startswith("encoder.") else _replace(own, _OURS)


def disk_names(neutral: str, family: Family, kind: Kind | None) -> tuple[str, ...]:
    """The names in a folder of `family` with a network of `kind`; None: one that we have not.

    Several are laid one below the other (dimension 0).
    """
    if neutral.startswith("untied.") and family.copies:
        return (family.copies[0].removesuffix("weight") + neutral.removeprefix("untied."),)
    architecture = family.architectures.get(kind) if kind else None
    name = _replace(neutral, architecture.names if architecture else ())
    if name == neutral:
        name = _replace(neutral, family.names)
    for joint, parts in ((".qkv.", family.qkv), (".kv.", family.qkv[1:])):
        if parts and joint in name:
            return tuple(name.replace(joint, f".{part}.") for part in parts)
    return (name,)


def today_names(names: Iterable[str], family: Family) -> dict[str, str]:
    """Today's name of each tensor in a file -> its name there.

    Takes the published variants: LayerNorm.gamma and beta, a bare encoder without the
    family's prefix, the decoder's own copy of the vocabulary bias; leaves out buffers.
    """
    found: dict[str, str] = {}
    stored = [name for name in names if not name.endswith(("position_ids", "inv_freq"))]
    bare = not any(name.startswith(family.prefix) for name in stored)
    for name in stored:
        today = _replace(name, _OLD)
        if bare and _BARE.match(today):
            today = family.prefix + today
        found[today] = name
    return found | {twin: found[name] for twin, name in missing_twins(found).items()}


def missing_twins(names: Collection[str]) -> dict[str, str]:
    """Transformers' second name of a vocabulary bias, where only the other is in `names` -> it."""
    pairs = [
        (f"{head}{one}", f"{head}{other}")
        for head in ("cls.predictions.", "predictions.", "lm_head.")
        for one, other in (("bias", "decoder.bias"), ("decoder.bias", "bias"))
    ]
    return {twin: name for twin, name in pairs if name in names and twin not in names}


def is_encoder(name: str, family: Family) -> bool:
    """Whether `name` on disk belongs to the encoder, not to a head."""
    heads = (f"{family.prefix}pooler.", *family.copies)
    return name.startswith(family.prefix) and not name.startswith(heads)


def part_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Neutral name -> shape for every part but the classifier. Allocates nothing."""
    with torch.device("meta"):
        parts: dict[str, nn.Module] = {
            "encoder": Encoder(config),
            "transform": Transform(config),
            "pooler": Pooler(config),
            "next_sentence": nn.Linear(config.hidden_size, 2),
            "sentence_order": nn.Linear(config.hidden_size, 2),
            "replaced_token": ReplacedTokenHead(config),
        }
        if config.num_decoder_layers:
            parts["decoder"] = Decoder(config)
    shapes = {
        f"{part}.{name}": tuple(tensor.shape)
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
    bias = (config.vocab_size,)
    if config.tied:
        return {**shapes, "vocabulary.bias": bias}
    matrix = (config.vocab_size, config.embedding_width)
    return {**shapes, "untied.weight": matrix, "untied.bias": bias}


def tagger_shapes(
    config: ModelConfig, num_labels: int, settings: Mapping[str, Any]
) -> dict[str, Shape]:
    """As `part_shapes`, for the head of a tagger. Raises ValueError for unknown settings."""
    with torch.device("meta"):
        head = tagger_of(config, num_labels, 0.0, settings).head.state_dict()
    names = {neutral_name(f"head.{name}", config): tensor for name, tensor in head.items()}
    return {name: tuple(tensor.shape) for name, tensor in names.items()}


def word2vec_shapes(config: ModelConfig) -> dict[str, Shape]:
    """As `part_shapes`, for word2vec."""
    with torch.device("meta"):
        state = Word2Vec(config).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _replace(name: str, replacements: Replacements) -> str:
    """`name` with each replacement that applies: at the start, or, from a dot, anywhere.

    # stands for a number.
    """
    for old, new in replacements:
        if old.startswith("."):
            name = name.replace(old, new)
        elif "#" in old:
            number = re.escape(old).replace(re.escape("#"), r"(\d+)")
            name = re.sub(f"^{number}", new.replace("#", r"\1"), name)
        elif name.startswith(old):
            name = new + name.removeprefix(old)
    return name
