"""Sentences with a masked word to watch a run by, for every kind of tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from bertsmith.jobs.samples import heldout_samples
from bertsmith.text.corpus import Corpus
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.pipeline import SPECIAL_TOKENS
from bertsmith.text.sources import Document
from bertsmith.text.tokenizer import Tokenizer
from wordpieces import wordpiece

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnpr" for b in "aeiou" for c in ("na", "lo", "ru", "mi")]


def by_words_with_spaces() -> Tokenizer:
    """Pieces with a mark of the space before them, as ALBERT has them."""
    pieces = [*SPECIAL_TOKENS, *(f"▁{word}" for word in WORDS), "▁", "."]
    backend = tokenizers.Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=1))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.add_special_tokens(list(SPECIAL_TOKENS))
    return Tokenizer(backend, SPECIAL_TOKENS)


@pytest.mark.parametrize("kind", ["unigram", "wordpiece"])
def test_a_whole_rare_word_is_masked(kind: str, tmp_path: Path) -> None:
    tokenizer = by_words_with_spaces() if kind == "unigram" else wordpiece([*WORDS, "."], 400)
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.permutation(WORDS)[:14]) + "." for _ in range(80)]
    build_corpus([Document(text) for text in texts], tokenizer, tmp_path / "corpus")
    corpus = Corpus.open(tmp_path / "corpus")
    offsets = np.asarray(corpus.document_offsets)
    samples = heldout_samples(corpus, tokenizer, np.stack([offsets[:-1], offsets[1:]], axis=1), 100)
    assert len(samples) == 8
    for sample in samples:
        (answer,) = sample.answers
        assert answer in WORDS
        assert sample.text.replace("[MASK]", answer).replace(" .", ".") in texts
        assert tokenizer.encode(sample.text).ids.count(tokenizer.mask_id) == 1
