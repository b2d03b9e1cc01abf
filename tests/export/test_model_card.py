from __future__ import annotations

import yaml

from bertsmith.export.model_card import model_card


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
