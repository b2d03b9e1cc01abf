"""What word2vec makes of a corpus, and what it leaves."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from bertsmith.config import DataConfig
from bertsmith.data import rng
from bertsmith.data.loader import Cursor
from bertsmith.data.segments import Vocabulary
from bertsmith.engine.train import State, Step
from bertsmith.errors import CorpusError, ModelError
from bertsmith.export.huggingface import (
    load_encoder,
    load_for_classification,
    load_masked_lm,
    load_word2vec,
    read_model,
)
from bertsmith.export.vectors import read_vectors
from bertsmith.jobs.finetune import finetune
from bertsmith.jobs.pretrain import PretrainResult, pretrain
from bertsmith.jobs.recorder import Recorder
from bertsmith.jobs.setup import prepare
from bertsmith.jobs.word_vectors import load_word_vectors, similar
from bertsmith.recipes.word2vec import NOISE_POWER, corrupt
from bertsmith.text.corpus import Corpus
from bertsmith.types import Segment
from jobs.tiny import write_table

from .toy import OBJECTS, config, make_corpus

COUNTS = np.array([0, 900, 0, 0, 0, 5000, 2500, 1000, 490, 10, 100])
VOCABULARY = Vocabulary(
    len(COUNTS), 2, 3, 4, regular_ids=np.arange(5, len(COUNTS)), frequencies=COUNTS / 10_000
)


def segment(ids: np.ndarray) -> Segment:
    nothing = np.zeros(len(ids), np.bool_)
    return Segment(ids, np.zeros(len(ids), np.int64), nothing, ~nothing)


def test_frequent_words_are_dropped_at_the_paper_s_rate() -> None:
    ids = np.repeat(np.array([1, 5, 6, 9]), 20_000)
    example = corrupt(segment(ids), rng.generator(0), VOCABULARY, DataConfig(subsample=0.01))
    kept = np.bincount(example.input_ids, minlength=len(COUNTS)) / 20_000
    assert kept[1] == 0  # [UNK]
    assert kept[5] == pytest.approx((0.01 / 0.5) ** 0.5, abs=0.01)
    assert kept[6] == pytest.approx((0.01 / 0.25) ** 0.5, abs=0.01)
    assert kept[9] == 1
    assert (np.diff(example.input_ids) >= 0).all()  # in their order
    whole = corrupt(segment(ids), rng.generator(0), VOCABULARY, DataConfig(subsample=0.0))
    assert np.array_equal(whole.input_ids, ids[ids != 1])


def test_windows_and_noise_have_the_paper_s_distributions() -> None:
    ids = np.full(30_000, 9)
    example = corrupt(segment(ids), rng.generator(1), VOCABULARY, DataConfig(window=4, negatives=3))
    windows, negatives = (example.token_targets[name] for name in ("windows", "negatives"))
    assert windows.shape == (30_000,)
    assert negatives.shape == (30_000, 3)
    np.testing.assert_allclose(
        np.bincount(windows) / 30_000, [0, 0.25, 0.25, 0.25, 0.25], atol=0.01
    )
    expected = np.where(np.arange(len(COUNTS)) < 5, 0, COUNTS) ** NOISE_POWER
    drawn = np.bincount(negatives.ravel(), minlength=len(COUNTS))
    np.testing.assert_allclose(drawn / 90_000, expected / expected.sum(), atol=0.01)
    assert not drawn[:5].any()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus("word2vec", tmp_path_factory.mktemp("corpus") / "c")


def test_a_heldout_text_of_frequent_words_alone_is_said(corpus: Corpus, tmp_path: Path) -> None:
    """Before the run has a folder: it would have no loss to tell."""
    with pytest.raises(CorpusError, match=r"no word of its held-out text is left"):
        pretrain(config("word2vec", data={"subsample": 1e-9}), corpus, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_first_step_without_a_word_is_survived(corpus: Corpus, tmp_path: Path) -> None:
    """All of its words may be frequent ones, and dropped; then nothing of the budget is over."""
    setup = prepare(config("word2vec", budget={"tokens": 300}), corpus)
    state = State(Cursor(batch=1), step=1, tokens=0, first_loss=0.0)
    step = Step(state, 0, {"loss": 0.0}, 1.0, 0.0, is_sound=True, seconds=1.0)
    with closing(Recorder(setup, tmp_path, [])) as recorder:
        recorder.step(step)


@pytest.mark.parametrize("max_length", [8, 32])
def test_runs_tile_the_documents(max_length: int, corpus: Corpus) -> None:
    setup = prepare(config("word2vec", data={"max_length": max_length}), corpus)
    for source in (*setup.sources, *setup.heldout):
        lengths = source.lengths(0)
        assert lengths.max() <= max_length
        read = np.concatenate([source.segment(0, i).input_ids for i in range(len(lengths))])
        assert len(read) == lengths.sum()
    documents = [
        corpus.read(int(begin), int(end))
        for begin, end in zip(corpus.document_offsets, corpus.document_offsets[1:], strict=False)
        if not ((setup.heldout_ranges[:, 0] <= begin) & (end <= setup.heldout_ranges[:, 1])).any()
    ]
    trained = setup.sources[0]
    read = [trained.segment(0, index).input_ids for index in range(len(trained.lengths(0)))]
    assert np.array_equal(np.concatenate(read), np.concatenate(documents))


@pytest.fixture(scope="module", params=["word2vec", "cbow"])
def run(
    request: pytest.FixtureRequest, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> PretrainResult:
    chosen = config(
        request.param,
        budget={"steps": 250},
        optim={"lr": 0.02, "batch_tokens": 512},
        data={"window": 4, "subsample": 0.05},
    )
    return pretrain(chosen, corpus, tmp_path_factory.mktemp("run") / "r")


def test_words_that_stand_together_become_neighbours(run: PretrainResult) -> None:
    """A cat finds mice and a dog bones, whoever sees or hears them."""
    table = load_word_vectors(run.model)
    unit = table.vectors / np.linalg.norm(table.vectors, axis=1, keepdims=True)
    place = {word: index for index, word in enumerate(table.words)}
    animals = [place[word] for word in OBJECTS]
    objects = [place[word] for word in OBJECTS.values()]
    cosines = unit[animals] @ unit[objects].T
    assert cosines.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert similar(run.model, "cat", 1)[0][0] == "mouse"


def test_the_folder_holds_the_vectors_twice(run: PretrainResult) -> None:
    source = read_model(run.model)
    assert (source.family, source.architecture) == ("bertsmith", "Word2Vec")
    table, written = load_word_vectors(run.model), read_vectors(run.model / "vectors.txt")
    assert table.words == written.words
    assert "[UNK]" not in table.words
    assert np.array_equal(table.vectors, written.vectors)
    rows = torch.from_numpy(table.vectors)
    assert torch.equal(load_word2vec(source).input.weight[5:], rows)
    assert "bertsmith similar" in (run.folder / "README.md").read_text()
    assert "finetune" not in (run.folder / "README.md").read_text()
    assert "bertsmith similar" in (run.model / "README.md").read_text()
    assert "fill" not in (run.model / "README.md").read_text()
    assert "num_layers" not in (run.model / "README.md").read_text()


def test_a_word_table_is_no_encoder(run: PretrainResult, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no encoder: it is a Word2Vec"):
        load_encoder(run.model)
    with pytest.raises(ModelError, match="has no encoder"):
        load_for_classification(run.model, 2)
    files = (tmp_path / "train.tsv", tmp_path / "dev.tsv")
    for path in files:
        write_table(path, 8)
    with pytest.raises(ModelError, match="has no encoder: it is a Word2Vec"):
        finetune("classify", *files, run.model, tmp_path / "tuned")
    assert not (tmp_path / "tuned").exists()
    with pytest.raises(ModelError, match="has no masked-LM head"):
        load_masked_lm(run.model)
