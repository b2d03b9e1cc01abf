"""The parts of a tokenizer around its vocabulary: special tokens, word format, template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors

Kind = Literal["wordpiece", "bpe", "unigram", "words", "characters"]
SpecialTokens = Literal["bert", "roberta", "t5"]

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""BERT's, that pad, are unknown, open, separate and mask; in the order of their ids, from 0."""
ROBERTA_TOKENS = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")
"""RoBERTa's, for the same roles ..."""
ROBERTA_FIRST = ("<s>", "<pad>", "</s>", "<unk>")
"""... and in the order of their ids, from 0; `<mask>` is the last token of all."""
SENTINELS = tuple(f"<extra_id_{number}>" for number in range(100))
"""T5's: each stands for a span that is cut out of the text."""
T5_TOKENS = ("<pad>", "<unk>", "</s>", "</s>", SENTINELS[0])
"""T5's for BERT's roles: nothing opens a text, and the first sentinel masks."""
FIRST: dict[SpecialTokens, tuple[str, ...]] = {
    "bert": SPECIAL_TOKENS,
    "roberta": ROBERTA_FIRST,
    "t5": ("<pad>", "</s>", "<unk>", *SENTINELS),
}
"""Special tokens in the order of their ids, from 0."""
IN_ROLES: dict[SpecialTokens, tuple[str, ...]] = {
    "bert": SPECIAL_TOKENS,
    "roberta": ROBERTA_TOKENS,
    "t5": T5_TOKENS,
}
"""Those that pad, are unknown, open, separate and mask."""


def numbered(tokens: Sequence[str]) -> dict[str, int]:
    """Each token with its place."""
    return {token: index for index, token in enumerate(tokens)}


def word_format(kind: Kind, plain: bool = False) -> tuple[Any, Any]:
    """How text is cut into words before the model sees it, and put together after it.

    `plain` is byte-level BPE of text that no normaliser has touched, as RoBERTa has it.
    """
    match kind:
        case "bpe":
            marked = pre_tokenizers.ByteLevel(add_prefix_space=True)
            spaced = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
            if plain:
                return marked, spaced
            return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), marked]), spaced
        case "unigram":
            pieces = pre_tokenizers.Metaspace(prepend_scheme="always")
            words = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pieces])
            return words, decoders.Metaspace()
        case _:
            return pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()


def bert_template(cls_id: int, sep_id: int) -> processors.TemplateProcessing:
    """[CLS] A [SEP] and [CLS] A [SEP] B [SEP], B of token type 1."""
    return processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", cls_id), ("[SEP]", sep_id)],
    )


def t5_template(end_id: int) -> processors.TemplateProcessing:
    """A </s> and A </s> B </s>, all of one token type."""
    return processors.TemplateProcessing(
        single="$A:0 </s>:0",
        pair="$A:0 </s>:0 $B:0 </s>:0",
        special_tokens=[("</s>", end_id)],
    )


def add_roberta_template(backend: Tokenizer) -> None:
    """<s> A </s> and <s> A </s></s> B </s>; `<mask>` takes the space before it."""
    backend.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    opens, ends = (backend.token_to_id(token) for token in ("<s>", "</s>"))
    assert opens is not None
    assert ends is not None
    backend.post_processor = processors.RobertaProcessing(
        ("</s>", ends), ("<s>", opens), trim_offsets=True, add_prefix_space=True
    )
