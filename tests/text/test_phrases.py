"""Phrases by statistics: what is planted is found, with measures that one can do by hand."""

from __future__ import annotations

from collections import Counter
from math import exp, log, log2
from pathlib import Path

import numpy as np
import pytest

from bertsmith.errors import CorpusError
from bertsmith.text import phrases as phrases_module
from bertsmith.text.corpus import Corpus
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.lexicon import Lexicon
from bertsmith.text.phrases import BUCKETS, FoundPhrases, find_phrases, write_phrases
from bertsmith.text.sources import Document
from wordpieces import wordpiece

LETTERS = "abcdefghijklmnop"
PLANTED = (("ooga", "booga"), ("nick", "of", "time"))
CHINESE = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"


def english(seed: int = 0, documents: int = 60) -> list[str]:
    """Random words, among them the planted phrases; the first one in few documents."""
    generator = np.random.default_rng(seed)
    texts = []
    for number in range(documents):
        words = list(generator.choice(list(LETTERS), size=120))
        for at in range(0, 120, 10):
            phrase = PLANTED[0] if number % 10 == 0 else PLANTED[1]
            words[at] = " ".join(phrase)
            if at % 40 == 0:
                words[at + 5] += ","
        texts.append(" ".join(words) + ".")
    return texts


def make(folder: Path, texts: list[str]) -> Corpus:
    tokenizer = wordpiece(texts, 120)
    return build_corpus([Document(text) for text in texts], tokenizer, folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make(tmp_path_factory.mktemp("corpus") / "c", english())


def entropy(counts: Counter[str]) -> float:
    total = counts.total()
    return -sum(n / total * log2(n / total) for n in counts.values())


def test_planted_phrases_are_the_best(corpus: Corpus) -> None:
    found = find_phrases(corpus, cohesion=0.5)
    assert {phrase.text for phrase in found.phrases[:2]} == {"ooga booga", "nick of time"}
    assert found.min_count == 10
    assert all(phrase.cohesion < 0.7 for phrase in found.phrases[2:])
    assert not {"nick of", "of time"} & {phrase.text for phrase in found.phrases}


def test_the_measures_are_those_of_the_papers(corpus: Corpus) -> None:
    """Counted again out of the texts, word by word."""
    found = {phrase.text: phrase for phrase in find_phrases(corpus, cohesion=0.1).phrases}
    documents = [text.replace(",", " ,").replace(".", " .").split() for text in english()]
    total = sum(word.isalpha() for words in documents for word in words)
    assert len(found) > 2
    for text in ("ooga booga", "nick of time"):
        parts = text.split()
        grams = [
            Counter(
                " ".join(words[at : at + size])
                for words in documents
                for at in range(len(words) - size + 1)
            )
            for size in (1, 2, 3)
        ]
        count = grams[len(parts) - 1][text]
        splits = [
            grams[cut - 1][" ".join(parts[:cut])]
            * grams[len(parts) - cut - 1][" ".join(parts[cut:])]
            for cut in range(1, len(parts))
        ]
        cohesion = log(count * total / max(splits)) / -log(count / total)
        inside = sum(text in " ".join(words) for words in documents)
        burst = log2(1 - exp(-count / 60)) - log2(inside / 60)
        phrase = found[text]
        assert phrase.count == count
        assert phrase.cohesion == pytest.approx(cohesion)
        assert phrase.burst == pytest.approx(burst)
    assert found["ooga booga"].burst > 2.5
    assert abs(found["nick of time"].burst) < 0.3
    # At the ends of a document there are any neighbours, elsewhere one of 16 letters.
    assert 3 < found["nick of time"].freedom <= log2(BUCKETS)


def test_the_freedom_is_the_entropy_of_the_neighbours(tmp_path: Path) -> None:
    before, after = "abcdab", "ppqqpp"
    texts = [f"k {x} new york {y} m" for x, y in zip(before * 9, after * 9, strict=True)]
    numbered = [f"{text} {word}" for word, text in zip(LETTERS * 9, texts, strict=False)]
    found = find_phrases(make(tmp_path / "c", [" x ".join(numbered)]), cohesion=0.3, freedom=0.5)
    phrase = next(phrase for phrase in found.phrases if phrase.text == "new york")
    assert phrase.freedom == pytest.approx(min(entropy(Counter(before)), entropy(Counter(after))))


def test_chinese_needs_no_segmenter_and_is_written_without_spaces(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    texts = []
    for _ in range(60):
        characters = list(generator.choice(list(CHINESE), size=100))
        for at in range(0, 100, 10):
            characters[at] = ("京城", "中文版")[generator.integers(2)]
        texts.append("".join(characters) + "。")
    found = find_phrases(make(tmp_path / "c", texts), cohesion=0.5)
    assert {phrase.text for phrase in found.phrases[:2]} == {"京城", "中文版"}


def test_what_is_written_is_found_again(corpus: Corpus, tmp_path: Path) -> None:
    found = find_phrases(corpus, cohesion=0.2)
    write_phrases(tmp_path / "p.tsv", found.phrases)
    lines = (tmp_path / "p.tsv").read_text("utf-8").splitlines()
    assert len(lines) == len(found.phrases)
    assert all(len(line.split("\t")) == 5 for line in lines)
    assert len(Lexicon.load(tmp_path / "p.tsv", corpus.tokenizer())) == len(lines)


def rows(found: FoundPhrases) -> set[tuple[str, int, float, float]]:
    return {(p.text, p.count, round(p.cohesion, 9), round(p.burst, 9)) for p in found.phrases}


def test_blocks_change_nothing(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = find_phrases(corpus, cohesion=0.2)
    monkeypatch.setattr(phrases_module, "BLOCK_TOKENS", 70)
    steps: list[tuple[int, int]] = []
    again = find_phrases(corpus, cohesion=0.2, progress=lambda *step: steps.append(step))
    assert again == whole
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    assert len(steps) > 100


def test_memory_has_a_bound_and_what_it_costs_is_said(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phrases_module, "BLOCK_TOKENS", 500)
    whole = find_phrases(corpus, min_count=2, cohesion=0.4)
    monkeypatch.setattr(phrases_module, "ROOM", 100)
    sizes: list[int] = []
    keep = phrases_module._Table.keep

    def kept(table: phrases_module._Table, rows: np.ndarray) -> None:
        keep(table, rows)
        sizes.append(len(table.keys))

    monkeypatch.setattr(phrases_module._Table, "keep", kept)
    bounded = find_phrases(corpus, min_count=2, cohesion=0.4)
    assert max(sizes) <= 100
    assert bounded.min_count > whole.min_count == 2
    assert "nick of time" in {phrase.text for phrase in bounded.phrases}
    monkeypatch.setattr(phrases_module, "CANDIDATES", 3)
    few = find_phrases(corpus, min_count=2, cohesion=0.4)
    assert 1 <= len(few.phrases) <= 3


def test_a_corpus_without_a_phrase(tmp_path: Path) -> None:
    corpus = make(tmp_path / "c", ["a b c. d e f.", "1 2, 3 4"])
    with pytest.raises(CorpusError, match="occurs 10 times or more holds together") as error:
        find_phrases(corpus)
    assert "--min-count" in str(error.value)
