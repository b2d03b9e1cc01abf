from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from bertsmith.errors import ConfigError, DataError, ModelError
from bertsmith.export.huggingface import load_tokenizer, save_model
from bertsmith.jobs import predict as job
from bertsmith.jobs.predict import Predictor, evaluate_file, predict_file
from bertsmith.nn.models import SequenceClassifier
from bertsmith.tasks.tables import Columns, TextRow

from .tiny import GLAD, PLAIN, POST, SAD, save_tiny_model

LONG = " ".join(PLAIN * 9)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with random weights."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = load_tokenizer(save_tiny_model(folder / "base"))
    torch.manual_seed(3)
    config = POST.model_copy(update={"vocab_size": tokenizer.vocab_size})
    network = SequenceClassifier(config, 3)
    torch.nn.init.normal_(network.head.classifier.weight)
    labels = ["glad", "sad", "für [b]"]
    save_model(folder / "model", network, tokenizer, labels=labels, extra_config={"max_length": 64})
    return folder / "model"


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_answer_is_the_same_alone_and_in_any_batch(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor.load(model)
    rows = [
        TextRow(" ".join(PLAIN[: 1 + i % 9]), GLAD[i % 4] if i % 3 else None) for i in range(40)
    ]
    together = list(predictor.predict([*rows, LONG]))
    assert [prediction.row for prediction in together[:-1]] == rows
    assert [prediction.truncated for prediction in together] == [False] * 40 + [True]
    for prediction in together[:-1]:
        (alone,) = predictor.predict([prediction.row])
        assert alone.scores == pytest.approx(prediction.scores, abs=1e-6)
    monkeypatch.setattr(job, "BLOCK_ROWS", 7)
    for first, second in zip(together, predictor.predict([*rows, LONG]), strict=True):
        assert first.scores == pytest.approx(second.scores, abs=1e-6)
        assert sum(first.scores.values()) == pytest.approx(1.0)


def test_every_kind_of_file_in_a_json_line_a_text_out(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["the good film", "", LONG]
    (tmp_path / "a.txt").write_text("\n".join(texts))
    (tmp_path / "a.csv").write_text("sentence\n" + "".join(f'"{text}"\n' for text in texts))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    for name in ("a.txt", "a.csv", "a.jsonl"):
        out = tmp_path / "out.jsonl"
        result = predict_file(model, tmp_path / name, out)
        assert (result.texts, result.truncated) == (3, 1)
        records = lines_of(out)
        assert [record["text"] for record in records] == texts
        assert all(set(r) == {"text", "label", "scores"} for r in records)
        assert all(list(r["scores"]) == ["glad", "sad", "für [b]"] for r in records)  # type: ignore[call-overload]
    for content in (b"the good film\n\nx", b'{"text": "the good film", "text_pair": "a dog"}\n'):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        predict_file(model, "-")
    plain, _, _, pair = map(json.loads, capsys.readouterr().out.splitlines())
    assert plain["scores"] == pytest.approx(records[0]["scores"], abs=1e-5)
    assert (pair["text_pair"], pair["label"] in pair["scores"]) == ("a dog", True)


def test_a_broken_file_leaves_the_old_output(model: Path, tmp_path: Path) -> None:
    broken, out = tmp_path / "a.jsonl", tmp_path / "out.jsonl"
    broken.write_text('{"text": "a"}\n{"te')
    out.write_text("old")
    with pytest.raises(DataError, match=r"a\.jsonl:2: not JSON"):
        predict_file(model, broken, out)
    assert {path.name: path.read_text() for path in tmp_path.glob("*out*")} == {"out.jsonl": "old"}


@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a.jsonl", "-"])
def test_nothing_to_label_is_said_and_nothing_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file, out = tmp_path / name, tmp_path / "out.jsonl"
    file.write_text("text\n" if name == "a.tsv" else "")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(DataError, match=r"empty|no texts"):
        predict_file(model, name if name == "-" else file, out)
    assert not out.exists()


def test_a_table_without_rows_has_no_scores(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "dev.tsv"
    file.write_text("text\tlabel\n")
    with pytest.raises(DataError, match=r"dev\.tsv: no rows"):
        evaluate_file(model, file)


def test_scores_that_could_not_be_written_are_not_worked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"s\.json: not a file that can be written; name another"):
        evaluate_file(tmp_path / "model", tmp_path / "dev.tsv", tmp_path / "none" / "s.json")


def learnt_from(model: Path, folder: Path, **columns: str | None) -> Path:
    """A copy of the model that says which columns it was fine-tuned on."""
    shutil.copytree(model, folder)
    content = json.loads((folder / "config.json").read_text())
    content["bertsmith"] |= {f"{role}_column": name for role, name in columns.items()}
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def test_a_gpu_without_memory_is_told_of_in_one_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tsv").write_text("text\tlabel\nthe good film\tglad\n")

    def short(*_: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(job, "outputs_of", short)
    for use in (predict_file, evaluate_file):
        with pytest.raises(ConfigError, match=r"^device: the GPU has no memory .* --device cpu$"):
            use(model, tmp_path / "a.tsv", tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_model_of_pairs_takes_its_columns_and_no_single_texts(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = learnt_from(model, tmp_path / "pairs", text="body", pair="note", label="mood")
    file, out = tmp_path / "a.tsv", tmp_path / "out.jsonl"
    file.write_text("text\tnote\tbody\tmood\tlabel\nx\ta dog\tthe film\tglad\tnone\n")
    predict_file(pairs, file, out)
    (record,) = lines_of(out)
    assert (record["text"], record["text_pair"]) == ("the film", "a dog")
    assert evaluate_file(pairs, file)["examples"] == 1
    for name, content in (("b.tsv", "text\tlabel\na\tglad\n"), ("b.txt", "a\n")):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match="no second text in a row, where what the model"):
            predict_file(pairs, tmp_path / name)
    with pytest.raises(DataError, match=r"b\.tsv: no second text"):
        evaluate_file(pairs, tmp_path / "b.tsv")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a film\n")))
    with pytest.raises(DataError, match="standard input: no second text"):
        predict_file(pairs, "-")


def test_a_model_of_single_texts_takes_no_pairs(model: Path, tmp_path: Path) -> None:
    single = learnt_from(model, tmp_path / "single", text="hypothesis", pair=None, label="label")
    file, out = tmp_path / "a.tsv", tmp_path / "out.jsonl"
    file.write_text("premise\thypothesis\na film\ta dog\n")
    predict_file(single, file, out)
    assert [record["text"] for record in lines_of(out)] == ["a dog"]
    assert "text_pair" not in lines_of(out)[0]
    file.write_text("text_a\ttext_b\na film\ta dog\n")
    with pytest.raises(DataError, match=r"a second text, 'text_b', in a row, .* --text-column"):
        predict_file(single, file)
    predict_file(single, file, out, columns=Columns("text_b"))
    assert [record["text"] for record in lines_of(out)] == ["a dog"]


def test_scores_on_labelled_texts(model: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "dev.tsv", tmp_path / "scores.json"
    texts = [*GLAD, *SAD]
    truth = ["glad"] * 4 + ["sad"] * 4
    file.write_text(
        "text\tlabel\n" + "".join(f"{a}\t{b}\n" for a, b in zip(texts, truth, strict=True))
    )
    scores = evaluate_file(model, file, out)
    assert json.loads(out.read_text()) == scores
    predicted = [prediction.label for prediction in Predictor.load(model).predict(texts)]
    right = sum(a == b for a, b in zip(predicted, truth, strict=True))
    assert scores["accuracy"] == right / 8
    assert [c["examples"] for c in scores["classes"]] == [4, 4, 0]
    assert sum(map(sum, scores["confusion_matrix"])) == 8
    file.write_text("text\tlabel\na\tglad\nb\tangry\nc\tangry\n")
    with pytest.raises(
        DataError, match=r"dev\.tsv:3: labels unknown to the model: 'angry' in lines 3, 4"
    ):
        evaluate_file(model, file)


def test_a_model_without_a_classifier_says_so(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(ModelError, match=r"has no sequence classifier.*; fine-tune it first"):
        predict_file(model.parent / "base", tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (
            {"task": "tag"},
            r"copy: its task: 'tag' is no task of such a network; fine-tune it again",
        ),
        ({"task": ["qa"]}, r"copy: its task: \['qa'\] is no task"),
        (
            {"settings": {"thresholds": [2.0]}},
            r"copy: its threshold: is for two classes, and",
        ),
    ],
)
def test_a_folder_that_says_nonsense_of_its_task_is_named(
    model: Path, tmp_path: Path, says: dict[str, object], expected: str
) -> None:
    shutil.copytree(model, tmp_path / "copy")
    path = tmp_path / "copy" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"bertsmith": says}))
    with pytest.raises(ModelError, match=expected):
        Predictor.load(tmp_path / "copy")


def test_a_number_is_not_rounded_to_bfloat16(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(save_tiny_model(tmp_path / "base"))
    config = POST.model_copy(update={"vocab_size": tokenizer.vocab_size})
    network = SequenceClassifier(config, 1)
    torch.nn.init.constant_(network.head.classifier.bias, 2003.25)
    save_model(tmp_path / "year", network, tokenizer, labels=["year"], problem_type="regression")
    predictor = Predictor.load(tmp_path / "year", device="cpu", precision="bfloat16")
    (prediction,) = predictor.predict(["the film"])
    assert prediction.label == pytest.approx(2003.25, abs=0.5)
