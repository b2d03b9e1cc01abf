"""Corpus building on a dask cluster: a real scheduler and two worker processes, on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from bertsmith.cli import main
from bertsmith.errors import CorpusError
from bertsmith.text import chunks, corpus_building, workers
from bertsmith.text.corpus import Corpus
from wordpieces import wordpiece

needs_dask = pytest.mark.skipif(find_spec("distributed") is None, reason="dask is not installed")
TEXTS = [f"Story number {n}. The {'quick' * (n % 3)} fox sees {n * 7} hens." for n in range(400)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer") / "t"
    wordpiece(TEXTS, 120).save(folder)
    return folder


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "stories.txt"
    path.write_text("\n\n".join(TEXTS))
    return path


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=False
    ) as cluster:
        yield cluster.scheduler_address


def build(text: Path, tokenizer: Path, out: Path, *more: str) -> int:
    """The command's exit code."""
    arguments = ["corpus", "build", "--text", str(text), "--layout", "blank"]
    with pytest.raises(SystemExit) as ended:
        main.run([*arguments, "--tokenizer", str(tokenizer), "--out", str(out), *more])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@needs_dask
@pytest.mark.filterwarnings("default")  # dask's own
def test_a_cluster_makes_the_same_corpus(
    text: Path, tokenizer: Path, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_building, "CHUNK_CHARS", 300)  # many tasks
    monkeypatch.setattr(workers, "DASK_SECONDS", 200)
    assert build(text, tokenizer, tmp_path / "dask", "--dask", scheduler) == 0
    assert build(text, tokenizer, tmp_path / "here", "--workers", "1") == 0
    there, here = Corpus.open(tmp_path / "dask"), Corpus.open(tmp_path / "here")
    assert there.num_documents == len(TEXTS)
    assert there.fingerprint == here.fingerprint
    there.verify()


@needs_dask
@pytest.mark.filterwarnings("default")
def test_nobody_at_the_address_is_said(
    text: Path,
    tokenizer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(workers, "DASK_SECONDS", 1)
    assert build(text, tokenizer, tmp_path / "c", "--dask", "tcp://127.0.0.1:1") == 2
    assert "--dask: no dask scheduler answers at 'tcp://127.0.0.1:1'" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_without_dask_it_says_what_to_install(
    text: Path,
    tokenizer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert build(text, tokenizer, tmp_path / "c", "--dask", "tcp://127.0.0.1:1") == 2
    assert "pip install 'bertsmith[dask]'" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_another_tokenizer_in_the_folder_is_refused(tokenizer: Path) -> None:
    """As on a worker that does not see the builder's disk."""
    with pytest.raises(CorpusError, match="let all workers see the same folders"):
        chunks.encode_chunk(chunks.Chunk(["a text"], [False]), tokenizer, "another")
