"""What a tokenizer makes of a text, and what is in a corpus, in numbers."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bertsmith.text.clean import clean_document
from bertsmith.text.corpus import Corpus
from bertsmith.text.pieces import EvenSample
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import IntArray

SAMPLE_CHARS = 8_000_000
"""A tokenizer is judged on at most so much text, taken evenly from all of it."""
MARKED_SHARE = 0.005
"""From this share of marked letters on, marks are the language's spelling, not an ornament.

English with its loan words stays below a twentieth of a percent; German, with few marks for
a language that has them, lies at one and a half.
"""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_SAMPLED_LENGTHS = 100_000
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class TokenizerReport:
    """A tokenizer over some text."""

    vocab_size: int
    characters: int
    known_characters: float  # share of the characters in words without an unknown token
    words: int
    tokens: int
    unknown_rate: float  # share of the tokens
    pieces_per_word: float
    sentence_tokens: float  # mean
    used_vocabulary: float  # share of the vocabulary that occurs
    warnings: tuple[str, ...]


def tokenizer_report(tokenizer: Tokenizer, texts: Iterable[str]) -> TokenizerReport:
    """Encode `texts`, evenly spread pieces of them where they are long, and count."""
    sample = EvenSample(SAMPLE_CHARS)
    for text in texts:
        sample.add(text)
    characters = known = words = tokens = unknown = sentences = 0
    letters: Counter[str] = Counter()
    used = np.zeros(tokenizer.vocab_size, dtype=np.bool_)
    for text in sample.texts:
        split = clean_document(text)[0]
        for sentence, encoding in zip(
            split, tokenizer.encode_batch(split, add_special_tokens=False), strict=True
        ):
            letters.update(sentence)
            ids = np.array(encoding.ids, dtype=np.int64)
            used[ids] = True
            is_unknown = ids == tokenizer.unk_id
            word_ids = encoding.word_ids
            unknown_words = {word_ids[index] for index in np.flatnonzero(is_unknown)}
            covered = {  # a mark of a space may stand at the letter after it
                place
                for (begin, end), word in zip(encoding.offsets, word_ids, strict=True)
                if word in unknown_words
                for place in range(begin, end)
                if sentence[place] != " "
            }
            visible = len(sentence) - sentence.count(" ")
            characters += visible
            known += visible - len(covered)
            tokens += len(ids)
            unknown += int(is_unknown.sum())
            words += len(set(word_ids))
            sentences += 1
    return TokenizerReport(
        vocab_size=tokenizer.vocab_size,
        characters=characters,
        known_characters=known / max(characters, 1),
        words=words,
        tokens=tokens,
        unknown_rate=unknown / max(tokens, 1),
        pieces_per_word=tokens / max(words, 1),
        sentence_tokens=tokens / max(sentences, 1),
        used_vocabulary=float(used.mean()),
        warnings=tuple(_warnings(tokenizer, letters, unknown / max(tokens, 1))),
    )


def marked_letters(letters: Counter[str]) -> Counter[str]:
    """Of letters counted in a text, those that accent stripping turns into other letters."""
    marked: Counter[str] = Counter()
    for letter, count in letters.items():
        if letter.isalpha() or unicodedata.category(letter) == "Mn":
            parts = unicodedata.normalize("NFD", letter)
            if any(unicodedata.category(part) == "Mn" for part in parts):
                marked[letter] += count
    return marked


def _warnings(tokenizer: Tokenizer, letters: Counter[str], unknown_rate: float) -> list[str]:
    warnings = []
    marked = marked_letters(letters)
    share = marked.total() / max(sum(n for c, n in letters.items() if c.isalpha()), 1)
    if share >= MARKED_SHARE and tokenizer.strips_accents:
        shown = " ".join(letter for letter, _ in marked.most_common(8))
        warnings.append(
            f"accent stripping destroys letters of this language: {share:.1%} of the letters "
            f"lose their marks ({shown}); train with --no-strip-accents"
        )
    if unknown_rate > 0.01:
        warnings.append(
            f"{unknown_rate:.1%} of the tokens are unknown; a larger vocabulary, or --kind bpe, "
            "which knows every text, loses less"
        )
    return warnings


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """What is in a corpus."""

    documents: int
    sentences: int
    words: int
    tokens: int
    characters: int
    pieces_per_word: float
    unknown_rate: float
    sentence_tokens: dict[float, int]  # quantile -> tokens
    document_tokens: dict[float, int]
    frequent_tokens: tuple[tuple[str, int], ...]
    unigram_entropy: float  # nats
    duplicate_documents: int
    repeated_lines: int
    control_characters: int
    disk_bytes: int
    token_bytes: int
    samples: tuple[str, ...]

    @property
    def unigram_entropy_bits(self) -> float:
        """In bits a token."""
        return self.unigram_entropy / math.log(2)


def corpus_report(corpus: Corpus, samples: int = 5) -> CorpusReport:
    """Read the offsets and counts of `corpus`, and `samples` sentences evenly apart."""
    tokenizer = corpus.tokenizer()
    counts = corpus.unigram_counts()
    frequent = np.argsort(-counts, kind="stable")[:20]
    manifest = corpus.manifest
    return CorpusReport(
        documents=corpus.num_documents,
        sentences=corpus.num_sentences,
        words=corpus.num_words,
        tokens=corpus.num_tokens,
        characters=manifest.characters,
        pieces_per_word=corpus.num_tokens / max(corpus.num_words, 1),
        unknown_rate=float(counts[tokenizer.unk_id] / counts.sum()),
        sentence_tokens=_length_quantiles(corpus.sentence_offsets),
        document_tokens=_length_quantiles(corpus.document_offsets),
        frequent_tokens=tuple(
            (tokenizer.token(index), int(counts[index])) for index in frequent if counts[index]
        ),
        unigram_entropy=corpus.unigram_entropy,
        duplicate_documents=manifest.duplicate_documents,
        repeated_lines=manifest.repeated_lines,
        control_characters=manifest.control_characters,
        disk_bytes=sum(manifest.sizes.values()),
        token_bytes=corpus.tokens.nbytes,
        samples=tuple(_sample_sentences(corpus, tokenizer, samples)),
    )


def _length_quantiles(offsets: IntArray) -> dict[float, int]:
    """Of the differences of `offsets`; the longest of all, the others of some hundred thousand."""
    step = max((len(offsets) - 1) // _SAMPLED_LENGTHS, 1)
    begins = np.arange(0, len(offsets) - 1, step)
    lengths = np.asarray(offsets[begins + 1]) - np.asarray(offsets[begins])
    values = np.quantile(lengths, QUANTILES, method="lower")
    blocks = range(0, len(offsets) - 1, _BLOCK)
    longest = max(np.diff(offsets[begin : begin + _BLOCK + 1]).max() for begin in blocks)
    quantiles = zip(QUANTILES, values, strict=True)
    return {**{share: int(value) for share, value in quantiles}, 1.0: int(longest)}


def _sample_sentences(corpus: Corpus, tokenizer: Tokenizer, count: int) -> Sequence[str]:
    places = np.linspace(0, corpus.num_sentences - 1, num=min(count, corpus.num_sentences) + 2)
    chosen = np.unique(places[1:-1].astype(np.int64))
    begins, ends = corpus.sentence_offsets[chosen], corpus.sentence_offsets[chosen + 1]
    return [
        tokenizer.decode(corpus.read(int(begin), int(end)), skip_special_tokens=False)
        for begin, end in zip(begins, ends, strict=True)
    ]
