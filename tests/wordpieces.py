"""A WordPiece vocabulary without chance: training breaks ties by a random order of hashing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from bertsmith.text.pipeline import SPECIAL_TOKENS
from bertsmith.text.tokenizer import Tokenizer


def wordpiece(texts: Iterable[str], vocab_size: int, strip_accents: bool = False) -> Tokenizer:
    """The letters of `texts` at a word's beginning and inside it, then the commonest words.

    Lower case. `[unused0]` and so on fill what is left of `vocab_size`.
    """
    joined = " ".join(texts).lower()
    counts = Counter(
        "".join(letter if letter.isalnum() else f" {letter} " for letter in joined).split()
    )
    letters = sorted(set(joined) - {" ", "\n"})
    inside = [f"##{letter}" for letter in letters if letter.isalnum()]
    words = sorted((word for word in counts if len(word) > 1), key=lambda word: -counts[word])
    vocabulary = [*SPECIAL_TOKENS, *letters, *inside]
    assert len(vocabulary) <= vocab_size, f"letters alone are {len(vocabulary)} tokens"
    vocabulary += words[: vocab_size - len(vocabulary)]
    vocabulary += [f"[unused{index}]" for index in range(vocab_size - len(vocabulary))]
    with TemporaryDirectory() as folder:
        (Path(folder) / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
        config = {"do_lower_case": True, "strip_accents": strip_accents}
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
        return Tokenizer.load(folder)
