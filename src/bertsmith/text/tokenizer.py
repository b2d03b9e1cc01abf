"""The tokenizer: text to token ids and back, with every token's place in the text.

Five kinds of vocabulary, one folder format; `bertsmith.text.tokenizer_training` makes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from bertsmith.errors import TokenizerError
from bertsmith.files import write_text_atomically
from bertsmith.text.pipeline import (
    SENTINELS,
)
from bertsmith.text.tokenizer_files import CONFIG, ROLES, TOKENIZER_JSON, class_config, read_folder
from bertsmith.types import BoolArray

DEFAULT_MAX_LENGTH = 512
"""What `model_max_length` says where no model says otherwise: BERT's 512 positions."""


class Tokenizer:
    """A `tokenizers.Tokenizer` with its five special tokens known by their roles."""

    def __init__(self, backend: tokenizers.Tokenizer, specials: Sequence[str]) -> None:
        """`specials` are the tokens that pad, are unknown, open, separate and mask."""
        backend.no_padding()
        backend.no_truncation()
        self.backend = backend
        self.specials = tuple(specials)
        ids = [backend.token_to_id(token) for token in specials]
        if None in ids:
            missing = ", ".join(t for t, i in zip(specials, ids, strict=True) if i is None)
            raise TokenizerError(
                f"the vocabulary has no {missing}", mend="use a tokenizer made for BERT's task"
            )
        known = [index for index in ids if index is not None]
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = known

    @classmethod
    def load(cls, folder: str | Path) -> Tokenizer:
        """Read a folder that holds tokenizer.json, or a BERT's vocab.txt alone.

        Raises TokenizerError where the folder is missing, cut or of another kind.
        """
        folder = Path(folder)
        backend, specials = read_folder(folder)
        try:
            return cls(backend, specials)
        except TokenizerError as error:
            raise TokenizerError(error.what, where=folder, mend=error.mend) from None

    def save(self, folder: str | Path, max_length: int = DEFAULT_MAX_LENGTH) -> None:
        """Write tokenizer.json, tokenizer_config.json and vocab.txt for transformers.

        In place of vocab.txt, RoBERTa's have vocab.json and merges.txt. `max_length` is the
        longest sequence of the model, in tokens.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomically(folder / TOKENIZER_JSON, self.backend.to_str(pretty=True) + "\n")
        config = {
            "model_max_length": max_length,
            **self._normalizer_choices(),
            **dict(zip(ROLES, self.specials, strict=True)),
            **class_config(self.description),
        }
        write_text_atomically(
            folder / CONFIG,
            json.dumps(config, indent=2, ensure_ascii=False) + "\n",
        )
        for name, content in self._vocabulary_files(config["tokenizer_class"]).items():
            write_text_atomically(folder / name, content)

    def _vocabulary_files(self, tokenizer_class: str) -> dict[str, str]:
        if tokenizer_class != "RobertaTokenizer":
            tokens = self.tokens(range(self.vocab_size))
            return {"vocab.txt": "".join(f"{token}\n" for token in tokens)}
        model = self.description["model"]
        merges = "".join(f"{left} {right}\n" for left, right in model["merges"])
        vocabulary = json.dumps(model["vocab"], ensure_ascii=False) + "\n"
        return {"vocab.json": vocabulary, "merges.txt": f"#version: 0.2\n{merges}"}

    def _normalizer_choices(self) -> dict[str, bool]:
        normalizer = self.description["normalizer"] or {}
        if normalizer.get("type") != "BertNormalizer":
            return {}
        lowercase, strip = normalizer["lowercase"], normalizer["strip_accents"]
        return {
            "do_lower_case": lowercase,
            "strip_accents": lowercase if strip is None else strip,
            "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
        }

    @property
    def strips_accents(self) -> bool:
        """Whether marks are taken from letters: `é` and `e` are the same."""
        return self._normalizer_choices().get("strip_accents", False)

    @cached_property
    def vocab_size(self) -> int:
        """V: one more than the largest id."""
        return 1 + max(self.backend.get_vocab(with_added_tokens=True).values())

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """The ids that no text has of itself: the five roles and any further special token."""
        added = self.backend.get_added_tokens_decoder()
        further = {index for index, token in added.items() if token.special}
        return frozenset(
            {self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id} | further
        )

    @cached_property
    def sentinel_ids(self) -> tuple[int, ...]:
        """The ids of T5's <extra_id_0>, <extra_id_1> ..., as far as there are any."""
        ids = (self.backend.token_to_id(token) for token in SENTINELS)
        return tuple(index for index in ids if index is not None)

    @cached_property
    def description(self) -> dict[str, Any]:
        """What tokenizer.json says, without padding and truncation."""
        whole: dict[str, Any] = json.loads(self.backend.to_str())
        return {key: whole[key] for key in whole if key not in ("padding", "truncation", "version")}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides which ids a text gets, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.description, sort_keys=True).encode()).hexdigest()

    def encode(
        self, text: str, pair: str | None = None, add_special_tokens: bool = True
    ) -> tokenizers.Encoding:
        """Ids, offsets and word ids of a text or of a pair of texts."""
        return self.backend.encode(text, pair, add_special_tokens=add_special_tokens)

    def encode_batch(
        self, texts: Sequence[str] | Sequence[tuple[str, str]], add_special_tokens: bool = True
    ) -> list[tokenizers.Encoding]:
        """`encode` of many texts, or of many pairs, on all cores."""
        return self.backend.encode_batch(list(texts), add_special_tokens=add_special_tokens)

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        """Text for ids, as well as the vocabulary allows."""
        return self.backend.decode([int(i) for i in ids], skip_special_tokens=skip_special_tokens)

    def token(self, index: int) -> str:
        """The vocabulary's entry `index`; empty where the vocabulary has a gap."""
        return self.backend.id_to_token(int(index)) or ""

    def text(self, index: int) -> str:
        """The entry `index` as it reads in a text, without marks of spaces and bytes."""
        return self.decode([index], skip_special_tokens=False).strip() or self.token(index)

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The vocabulary's entries for `ids`."""
        return [self.token(index) for index in ids]

    def starts_word(self) -> BoolArray | None:
        """(V,) whether an id begins a word; None where that depends on the text around it."""
        model = self.description["model"]
        if model["type"] == "WordLevel":
            return np.ones(self.vocab_size, dtype=np.bool_)
        if model["type"] != "WordPiece":
            return None
        prefix = model["continuing_subword_prefix"]
        inside = (self.token(index).startswith(prefix) for index in range(self.vocab_size))
        return ~np.fromiter(inside, dtype=np.bool_, count=self.vocab_size)
