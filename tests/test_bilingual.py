"""Two languages in equal parts, and what is followed of a run, for benchmarks/bilingual.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks/ is no part of the package

from benchmarks.bilingual import summarised
from benchmarks.bilingual_figure import draw
from benchmarks.bilingual_text import Language, mixed


@pytest.fixture
def languages(tmp_path: Path) -> list[Language]:
    generator = np.random.default_rng(0)
    found = []
    for name, letter, size in (("english", "a", 900), ("chinese", "\u4eba", 300)):
        path = tmp_path / f"{name}.jsonl"
        texts = [
            f"{number} {letter * int(generator.integers(size // 2, size))}" for number in range(400)
        ]
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        found.append(Language.open(name, [str(path)]))
    return found


def test_sizes_are_nested_and_held_out_text_is_in_none(languages: list[Language]) -> None:
    for one in languages:
        all_of_it = {d.text for d in one.documents(one.trainable_chars)}
        held_out = {d.text for d in one.held_out()}
        assert len(all_of_it) + len(held_out) == 400
        assert all_of_it.isdisjoint(held_out)
        assert sum(map(len, held_out)) == pytest.approx(0.1 * one.chars.sum(), rel=0.1)
        fifth = {d.text for d in one.documents(one.trainable_chars / 5)}
        part = {d.text for d in one.documents(one.trainable_chars / 25)}
        assert part < fifth < all_of_it
        assert sum(map(len, fifth)) == pytest.approx(one.trainable_chars / 5, rel=0.05)


def test_every_part_of_the_text_has_both_languages(languages: list[Language]) -> None:
    wanted = (60_000, 20_000)
    documents = list(mixed(languages, wanted))
    for part in (documents[: len(documents) // 2], documents):
        chars = [sum(len(d.text) for d in part if letter in d.text) for letter in "a\u4eba"]
        assert chars[0] / chars[1] == pytest.approx(3, rel=0.1)
    assert sum(len(d.text) for d in documents) == pytest.approx(sum(wanted), rel=0.05)


def test_the_best_layer_is_followed_and_drawn() -> None:
    rows = [
        {"what": what, "centred": centred, "layer": layer, "mrr": mrr, "chance_mrr": 0.1}
        for what in ("words", "sentences")
        for centred in (False, True)
        for layer, both in enumerate([(0.1, 0.7), (0.5, 0.5), (0.2, 0.2)])
        for mrr in both
    ]
    rates = {"turned": 0.5, "hits": 0.25, "dealt": 0.125}
    layer = {"language": rates, "random": {"turned": 0.1, "hits": 0.05}}
    found = summarised({"rows": rows}, {"layers": [layer], "best": 0})
    assert found["words"] == found["sentences_centred"] == 0.5
    assert found["words_chance"] == 0.1
    assert (found["hits"], found["random_hits"]) == (0.25, 0.05)
    losses = {"loss_english": 5.0, "loss_chinese": 6.0}
    drawn = draw(
        [
            {"data": size, "text": 10**6, "tokens": tokens, **losses, **found}
            for size in ("1/5", "all")
            for tokens in (100_000, 200_000)
        ]
    )
    assert len(drawn.axes) == 5
    assert len(drawn.axes[0].lines) == 2
