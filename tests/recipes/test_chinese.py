"""BERT on Chinese: characters are the tokens, and a segmenter's words are masked whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bertsmith.config import resolve
from bertsmith.jobs.pretrain import load_config
from bertsmith.jobs.preview import preview
from bertsmith.jobs.setup import prepare
from bertsmith.text.corpus import Corpus
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.sources import Document
from wordpieces import wordpiece

from .toy import TINY

WORDS = ("北京大学", "的", "学生", "在", "图书馆", "看", "历史书", "老师", "今天", "说", "天气")
SEGMENTER = f"""
WORDS = {sorted(WORDS, key=len, reverse=True)}

def cut(sentence):
    while sentence:
        word = next((w for w in WORDS if sentence.startswith(w)), sentence[0])
        yield word
        sentence = sentence[len(word):]
"""
RUN = Path(__file__).parents[2] / "runs" / "bert-zh-wwm.toml"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    folder = tmp_path_factory.mktemp("zh")
    (folder / "longest_words.py").write_text(SEGMENTER, "utf-8")
    rng = np.random.default_rng(0)
    texts = [
        Document("".join("".join(rng.choice(WORDS, 8)) + "。" for _ in range(6))) for _ in range(60)
    ]
    tokenizer = wordpiece([text.text for text in texts], 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield build_corpus(texts, tokenizer, folder / "c", segmenter="longest_words:cut")


def test_every_character_is_a_token_and_every_word_is_masked_whole(
    corpus: Corpus, tmp_path: Path
) -> None:
    config = resolve(load_config(RUN), TINY)
    assert config.data.masking == "word"
    setup = prepare(config, corpus)
    (source,) = setup.sources
    seen = set()
    for index in range(30):
        segment = source.segment(0, index)
        characters = setup.tokenizer.tokens(segment.input_ids)
        assert {len(c) for c in np.array(characters)[~segment.is_special]} == {1}
        chosen = np.zeros(len(segment.input_ids), dtype=np.bool_)
        chosen[source.example(0, index).mlm_positions] = True
        begins = np.flatnonzero(segment.word_starts)[1:]
        for word, is_chosen in zip(
            np.split(np.array(characters), begins), np.split(chosen, begins), strict=True
        ):
            assert is_chosen.all() or not is_chosen.any()
            if is_chosen.any():
                seen.add("".join(word))
    assert {"北京大学", "图书馆", "历史书"} <= seen
    # A segment's edge may cut a word.
    assert all(any(part in word for word in (*WORDS, "。")) for part in seen)
    shown = preview(config, corpus, samples=2, html=tmp_path / "page.html")
    assert shown.rates["chosen words"] == "100.0 % of them whole"
