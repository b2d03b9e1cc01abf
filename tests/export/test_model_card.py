from __future__ import annotations

import ast
import shlex

import pytest
import yaml

from bertsmith.export.families import FAMILIES, own
from bertsmith.export.families.base import Kind
from bertsmith.export.model_card import model_card

QUOTED = """a "bert's" model"""
TASKS: dict[Kind, tuple[str, str]] = {
    "encoder": ("feature-extraction", "load_encoder"),
    "masked_lm": ("fill-mask", "load_masked_lm"),
    "next_sentence": ("fill-mask", "load_masked_lm"),
    "sentence_order": ("fill-mask", "load_masked_lm"),
    "replaced_token": ("feature-extraction", "load_encoder"),
    "encoder_decoder": ("text2text-generation", "load_encoder_decoder"),
    "classifier": ("text-classification", "load_classifier"),
    "tagger": ("token-classification", "load_tagger"),
    "feature_tagger": ("token-classification", "load_tagger"),
    "span": ("question-answering", "load_finetuned"),
    "choice": ("multiple-choice", "load_finetuned"),
    "word_vectors": ("feature-extraction", "load_word2vec"),
}
CLASSES = [(f.name, kind, a.name) for f in FAMILIES for kind, a in f.architectures.items()]


def front_matter(card: str) -> dict[str, object]:
    _, text, _ = card.split("---\n", 2)
    content = yaml.safe_load(text)
    assert isinstance(content, dict)
    return content


def test_a_whole_card() -> None:
    card = model_card(
        "bert-mini",
        architecture="BertForPreTraining",
        summary="A small BERT.",
        data="Docstrings of Python packages.",
        sizes={"layers": 4, "hidden size": 256},
        training={"tokens": "12 million", "peak rate": 0.00015},
        scores={"masked-LM accuracy": 0.43217, "a|b\nc": 1},
        limits=("English only.",),
    )
    assert front_matter(card) == {
        "library_name": "transformers",
        "pipeline_tag": "fill-mask",
        "tags": ["bertsmith", "bert"],
    }
    for part in (
        "# bert-mini\n\nA small BERT.",
        "## Data\n\nDocstrings",
        "| layers | 4 |\n| hidden size | 256 |",
        "| peak rate | 0.00015 |",
        "| masked-LM accuracy | 0.4322 |",
        "| a\\|b c | 1 |",
        "- English only.\n",
        'pipeline("fill-mask", model="bert-mini")',
        "bertsmith fill bert-mini",
    ):
        assert part in card
    assert card.endswith("\n")
    assert "\n\n\n" not in card


def test_a_classifier_names_its_labels() -> None:
    card = model_card("m", architecture="ModernBertForSequenceClassification", labels=("a", "b"))
    assert front_matter(card)["pipeline_tag"] == "text-classification"
    assert front_matter(card)["tags"] == ["bertsmith", "modernbert"]
    assert "## Labels\n\n`a`, `b`" in card
    assert "load_classifier" in card
    assert "## Data" not in card
    assert "## Scores" not in card


def test_our_own_format_is_not_offered_to_transformers() -> None:
    card = model_card("m", architecture="MaskedLM")
    assert front_matter(card)["library_name"] == "bertsmith"
    assert "bertsmith's own format" in card
    assert "pipeline(" not in card


def test_what_reads_from_left_to_right_is_offered_for_fine_tuning() -> None:
    """`bertsmith fill` refuses it."""
    card = model_card("m", architecture="MaskedLM", mask="")
    assert front_matter(card)["pipeline_tag"] == "feature-extraction"
    assert "bertsmith fill" not in card
    assert "bertsmith finetune classify" in card
    assert "load_encoder" in card


def test_a_network_that_scores_no_words_is_offered_for_fine_tuning() -> None:
    card = model_card("m", architecture="ElectraForPreTraining")
    assert front_matter(card)["pipeline_tag"] == "feature-extraction"
    assert front_matter(card)["tags"] == ["bertsmith", "electra"]
    assert "bertsmith finetune classify --train train.tsv --dev dev.tsv --model m --out" in card
    assert "load_encoder" in card
    assert "[MASK]" not in card
    own = model_card("m", architecture="ReplacedTokenDetector")
    assert front_matter(own)["library_name"] == "bertsmith"
    assert "load_encoder" in own


@pytest.mark.parametrize(("family", "kind", "architecture"), CLASSES)
def test_a_card_says_what_its_class_is_for(family: str, kind: Kind, architecture: str) -> None:
    """Whether there are labels or not: questions are answered with none."""
    task, loader = TASKS[kind]
    for labels in (None, (), ("a", "b")):
        card = model_card("m", architecture=architecture, labels=labels)
        said = front_matter(card)
        assert (said["pipeline_tag"], said["tags"]) == (
            task,
            ["bertsmith"] if family == own.FAMILY.name else ["bertsmith", family],
        )
        assert f"import {loader}, load_tokenizer" in card
        assert ("With transformers:" in card) == (family != own.FAMILY.name)


def test_a_name_with_spaces_and_quotes_is_quoted() -> None:
    card = model_card(QUOTED, architecture="BertForSequenceClassification")
    shell, own, theirs = (block.split("\n", 1)[1] for block in card.split("```")[1::2])
    assert shlex.split(shell)[:3] == ["bertsmith", "predict", QUOTED]
    for code in (own, theirs):
        strings = [
            node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)
        ]
        assert QUOTED in strings
