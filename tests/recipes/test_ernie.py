"""ERNIE: units, then phrases, then entities; what they are is part of the run."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from bertsmith.config import Masking, RunConfig
from bertsmith.data.corrupt import phrase_starts
from bertsmith.data.loader import Cursor
from bertsmith.data.segments import Vocabulary
from bertsmith.errors import ConfigError, DataError
from bertsmith.jobs.pretrain import load_config, pretrain
from bertsmith.jobs.preview import preview
from bertsmith.jobs.setup import Setup, prepare
from bertsmith.report.page import Token
from bertsmith.text.corpus import Corpus

from .toy import TINY, config, make_corpus

EVERY_STEP = {"checkpoint_minutes": 1e-9, "keep_checkpoints": 100, "evaluations": 2}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus("ernie", tmp_path_factory.mktemp("corpus") / "c")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Copies of the toy dictionaries, to be changed."""
    data = TINY["data"]
    return {
        name: str(shutil.copy(str(data[name]), tmp_path / Path(str(data[name])).name))
        for name in ("phrases", "entities")
    }


def broken(setup: Setup, progress: float, masking: Masking) -> tuple[int, int]:
    """Phrases of one kind of which something is chosen, and those of them not chosen whole."""
    vocabulary = Vocabulary.of(setup.tokenizer, None, setup.lexicons)
    data = setup.config.data.model_copy(update={"masking": masking})
    touched = split = 0
    for index in range(200):
        segment = setup.sources[0].segment(0, index)
        example = setup.sources[0].example(0, index, progress)
        assert example.mlm_positions is not None
        unit = np.cumsum(phrase_starts(segment, vocabulary, data)) - 1
        words = np.bincount(unit, weights=segment.word_starts)
        chosen = np.bincount(unit[example.mlm_positions], minlength=len(words))
        sizes = np.bincount(unit)
        phrases = (words > 1) & (chosen > 0)
        touched += int(phrases.sum())
        split += int((phrases & (chosen < sizes)).sum())
    return touched, split


def test_stages_switch_when_they_should(corpus: Corpus) -> None:
    setup = prepare(config("ernie"), corpus)
    for progress, whole in ((0.0, ""), (0.33, ""), (0.35, "phrase"), (0.66, "phrase")):
        for masking in ("phrase", "entity"):
            touched, split = broken(setup, progress, masking)
            assert touched > 50
            assert (split == 0) == (masking == whole), (progress, masking)
    for progress in (0.68, 1.0):
        assert broken(setup, progress, "entity")[1] == 0
        assert broken(setup, progress, "phrase")[1] > 0


def test_the_stage_is_the_cursor_s_alone(corpus: Corpus) -> None:
    """Two thirds of the way, whoever asks sees entities whole."""
    loader = prepare(config("ernie", budget={"steps": 30}), corpus).loader()
    for batch, masking in ((0, "word"), (12, "phrase"), (25, "entity")):
        progress = loader.progress(Cursor(0, batch))
        assert config("ernie").data.at(progress).masking == masking


def staged(files: dict[str, str], **more: object) -> RunConfig:
    return config("ernie", data=files, log=EVERY_STEP, **more)


def weights(folder: Path) -> str:
    (*_, newest) = sorted((folder / "checkpoints").glob("step-*"))
    return hashlib.sha256((newest / "tensors.safetensors").read_bytes()).hexdigest()


def test_a_run_goes_on_from_stage_to_stage_to_the_bit_and_only_with_its_own_phrases(
    corpus: Corpus, files: dict[str, str], tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    result = pretrain(staged(files, budget={"steps": 6}), corpus, whole)
    for at in (3, 5):
        out = tmp_path / str(at)
        shutil.copytree(whole, out)
        for folder in sorted((out / "checkpoints").iterdir())[at:]:
            shutil.rmtree(folder)
        again = pretrain(load_config(whole / "config.toml"), corpus, out)
        assert weights(out) == weights(whole)
        assert again.evaluation == result.evaluation
    with Path(files["phrases"]).open("a") as file:
        file.write("the fox\n")
    with pytest.raises(ConfigError, match=r"other values of data\.lexicon"):
        pretrain(staged(files, budget={"steps": 6}), corpus, whole)


def test_phrases_are_to_be_seen_before_a_night_is_spent(corpus: Corpus, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    found = preview(config("ernie"), corpus, samples=20, progress=0.5, html=page)
    assert "_ joins their words" in found.rates["in phrases"]
    assert found.rates["chosen phrases"] == "100.0 % of them whole"
    tokens = [token for passage in found.passages for line in passage.lines for token in line]
    assert Token("_cat", "plain", "", False) in tokens
    assert any(token.fate == "masked" and token.original == "_cat" for token in tokens)
    assert "_cat" in page.read_text("utf-8")
    assert "in entities" in preview(config("ernie"), corpus, progress=0.9).rates
    assert not {"in phrases", "in entities"} & preview(config("ernie"), corpus).rates.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phrases": ""}, r"data\.phrases: no file"),
        ({"entities": ""}, r"data\.entities: no file"),
        ({"entities": "nothing.txt"}, "nothing.txt: no such file"),
    ],
)
def test_a_dictionary_that_is_not_there(
    changes: dict[str, str], message: str, corpus: Corpus
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        prepare(config("ernie", data=changes), corpus)
    assert "\n" not in str(error.value)


def test_a_dictionary_of_another_language(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("北京大学\n", "utf-8")
    changes = {"entities": str(tmp_path / "words.txt")}
    with pytest.raises(DataError, match="this tokenizer can write"):
        prepare(config("ernie", data=changes), corpus)
    unused = config("ernie", data=changes | {"stages": [{"share": 1.0, "masking": "phrase"}]})
    assert prepare(unused, corpus).lexicons.keys() == {"phrase"}
