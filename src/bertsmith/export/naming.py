"""What a tensor is called: in our networks, in a model folder, and in between.

Every family is read and written through one set of neutral names, one prefix a part:

    encoder.*           the encoder, named as in `bertsmith.nn`
    decoder.*           the decoder of an encoder-decoder, likewise
    transform.*         the layer between encoder and vocabulary
    vocabulary.bias     the bias of the vocabulary scores (the matrix is the word embedding)
    pooler.*            BERT's tanh layer on [CLS]
    next_sentence.*     BERT's pair classifier
    sentence_order.*    ALBERT's
    replaced_token.*    ELECTRA's replaced-token head
    classifier.*        the classifier of a fine-tuned model
    input.*, output.*   the two tables of word2vec, which has no encoder

So a pre-trained pooler or transform reaches the head of a classifier by its name alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn

from bertsmith.config import ModelConfig
from bertsmith.nn.decoder import Decoder
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.heads import Pooler, ReplacedTokenHead, Transform, uses_pooler
from bertsmith.nn.word2vec import Word2Vec

Family = Literal["bert", "albert", "electra", "modernbert", "t5", "bertsmith"]
Shape = tuple[int, ...]
Replacements = tuple[tuple[str, str], ...]

WORD_EMBEDDING = "encoder.embeddings.word.weight"

_OURS: Replacements = (
    ("mlm_head.transform.", "transform."),
    ("mlm_head.bias", "vocabulary.bias"),
    ("next_sentence_head.pooler.", "pooler."),
    ("next_sentence_head.classifier.", "next_sentence."),
    ("sentence_order_head.pooler.", "pooler."),
    ("sentence_order_head.classifier.", "sentence_order."),
    ("replaced_token_head.", "replaced_token."),
    ("head.classifier.", "classifier."),
)


def _embeddings(prefix: str) -> Replacements:
    return (
        ("encoder.embeddings.word.", f"{prefix}embeddings.word_embeddings."),
        ("encoder.embeddings.position.", f"{prefix}embeddings.position_embeddings."),
        ("encoder.embeddings.token_type.", f"{prefix}embeddings.token_type_embeddings."),
        ("encoder.embeddings.norm.", f"{prefix}embeddings.LayerNorm."),
    )


def _layers(prefix: str) -> Replacements:
    """BERT's layers, under which every family after it has them."""
    return (
        ("encoder.layers.", f"{prefix}encoder.layer."),
        (".attention.output.", ".attention.output.dense."),
        (".attention_norm.", ".attention.output.LayerNorm."),
        (".feed_forward.input.", ".intermediate.dense."),
        (".feed_forward.output.", ".output.dense."),
        (".feed_forward_norm.", ".output.LayerNorm."),
    )


_BERT: Replacements = (
    *_embeddings("bert."),
    *_layers("bert."),
    ("pooler.", "bert.pooler."),
    ("transform.dense.", "cls.predictions.transform.dense."),
    ("transform.norm.", "cls.predictions.transform.LayerNorm."),
    ("vocabulary.bias", "cls.predictions.bias"),
    ("next_sentence.", "cls.seq_relationship."),
)
_ALBERT: Replacements = (
    *_embeddings("albert."),
    ("encoder.embeddings.projection.", "albert.encoder.embedding_hidden_mapping_in."),
    ("encoder.layers.0.", "albert.encoder.albert_layer_groups.0.albert_layers.0."),
    (".attention.output.", ".attention.dense."),
    (".attention_norm.", ".attention.LayerNorm."),
    (".feed_forward.input.", ".ffn."),
    (".feed_forward.output.", ".ffn_output."),
    (".feed_forward_norm.", ".full_layer_layer_norm."),
    ("pooler.dense.", "albert.pooler."),
    ("transform.dense.", "predictions.dense."),
    ("transform.norm.", "predictions.LayerNorm."),
    ("vocabulary.bias", "predictions.bias"),
    ("sentence_order.", "sop_classifier.classifier."),
)
_ELECTRA: Replacements = (
    *_embeddings("electra."),
    ("encoder.embeddings.projection.", "electra.embeddings_project."),
    *_layers("electra."),
    ("classifier.", "classifier.out_proj."),
    ("pooler.", "classifier."),
    ("transform.dense.", "generator_predictions.dense."),
    ("transform.norm.", "generator_predictions.LayerNorm."),
    ("vocabulary.bias", "generator_lm_head.bias"),
    ("replaced_token.dense.", "discriminator_predictions.dense."),
    ("replaced_token.classifier.", "discriminator_predictions.dense_prediction."),
)
_MODERNBERT: Replacements = (
    ("encoder.embeddings.word.", "model.embeddings.tok_embeddings."),
    ("encoder.embeddings.norm.", "model.embeddings.norm."),
    ("encoder.layers.", "model.layers."),
    ("encoder.final_norm.", "model.final_norm."),
    (".attention.qkv.", ".attn.Wqkv."),
    (".attention.output.", ".attn.Wo."),
    (".attention_norm.", ".attn_norm."),
    (".feed_forward.input.", ".mlp.Wi."),
    (".feed_forward.output.", ".mlp.Wo."),
    (".feed_forward_norm.", ".mlp_norm."),
    ("transform.", "head."),
    ("vocabulary.bias", "decoder.bias"),
)
_T5: Replacements = (
    ("encoder.embeddings.word.", "shared."),
    ("encoder.relative.table.", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias."),
    ("decoder.relative.table.", "decoder.block.0.layer.0.SelfAttention.relative_attention_bias."),
    ("encoder.layers.#.feed_forward_norm.", "encoder.block.#.layer.1.layer_norm."),
    ("encoder.layers.#.feed_forward.", "encoder.block.#.layer.1.DenseReluDense."),
    ("decoder.layers.#.feed_forward_norm.", "decoder.block.#.layer.2.layer_norm."),
    ("decoder.layers.#.feed_forward.", "decoder.block.#.layer.2.DenseReluDense."),
    ("encoder.layers.", "encoder.block."),
    ("decoder.layers.", "decoder.block."),
    ("encoder.final_norm.", "encoder.final_layer_norm."),
    ("decoder.final_norm.", "decoder.final_layer_norm."),
    (".attention_norm.", ".layer.0.layer_norm."),
    (".attention.", ".layer.0.SelfAttention."),
    (".cross_attention_norm.", ".layer.1.layer_norm."),
    (".cross_attention.", ".layer.1.EncDecAttention."),
    (".DenseReluDense.input.", ".DenseReluDense.wi."),
    (".DenseReluDense.output.", ".DenseReluDense.wo."),
    (".output.", ".o."),
)
COPIES: dict[Family, tuple[str, ...]] = {
    "bert": ("cls.predictions.decoder.weight",),
    "albert": ("predictions.decoder.weight",),
    "electra": ("generator_lm_head.weight",),
    "modernbert": ("decoder.weight",),
    "t5": ("lm_head.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
}
"""Where a file that stores the tied word embedding more than once has it."""
_PREFIX: dict[Family, str] = {
    "bert": "bert.",
    "albert": "albert.",
    "electra": "electra.",
    "modernbert": "model.",
    "t5": "encoder.",
    "bertsmith": "encoder.",
}
_QKV: dict[Family, tuple[str, ...]] = {
    "bert": ("self.query", "self.key", "self.value"),
    "albert": ("query", "key", "value"),
    "electra": ("self.query", "self.key", "self.value"),
    "t5": ("q", "k", "v"),
}
_NAMES: dict[Family, Replacements] = {
    "bert": _BERT,
    "albert": _ALBERT,
    "electra": _ELECTRA,
    "modernbert": _MODERNBERT,
    "t5": _T5,
    "bertsmith": (),
}
_OLD: Replacements = (
    (".LayerNorm.gamma", ".LayerNorm.weight"),
    (".LayerNorm.beta", ".LayerNorm.bias"),
)
_BARE = re.compile(r"(embeddings|embeddings_project|encoder|layers|final_norm|pooler)\.")


def neutral_name(own: str, config: ModelConfig) -> str:
    """The neutral name of `own`, a name in the state of a network that is saved."""
    if own.startswith("head.transform."):
        part = "pooler." if uses_pooler(config) else "transform."
        return part + own.removeprefix("head.transform.")
    return own if own.startswith("encoder.") else _replace(own, _OURS)


def disk_names(neutral: str, family: Family) -> tuple[str, ...]:
    """The names in a folder of `family`; several are laid one below the other (dimension 0)."""
    name = _replace(neutral, _NAMES[family])
    projections = _QKV.get(family, ())
    for joint, parts in ((".qkv.", projections), (".kv.", projections[1:])):
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
    prefix = _PREFIX[family]
    bare = family != "bertsmith" and not any(name.startswith(prefix) for name in stored)
    for name in stored:
        today = _replace(name, _OLD)
        if bare and _BARE.match(today):
            today = prefix + today
        found[today] = name
    for head in ("cls.predictions.", "predictions."):
        if f"{head}decoder.bias" in found:
            found.setdefault(f"{head}bias", found[f"{head}decoder.bias"])
    return found


def is_encoder(name: str, family: Family) -> bool:
    """Whether `name` on disk belongs to the encoder, not to a head."""
    prefix = _PREFIX[family]
    heads = (f"{prefix}pooler.", *COPIES.get(family, ()))
    return name.startswith(prefix) and not name.startswith(heads)


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
    return {**shapes, "vocabulary.bias": (config.vocab_size,)}


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
