"""README.md of a model folder: what it is, what it was made from, how to use it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bertsmith.export.families import FAMILIES
from bertsmith.markdown import markdown_table

_BERTSMITH_ONLY = (
    "transformers has no class for this network: the folder is in bertsmith's own format, which "
    "only bertsmith reads."
)


_PIPELINE = """\
from transformers import pipeline

predict = pipeline("{task}", model="{name}")
print(predict("{sample}"))
"""
_GENERATE = """\
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

model = AutoModelForSeq2SeqLM.from_pretrained("{name}")
tokenizer = AutoTokenizer.from_pretrained("{name}")
answer = model.generate(**tokenizer("{sample}", return_tensors="pt"), num_beams=4)
print(tokenizer.batch_decode(answer))
"""


_ANSWER = """\
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

model = AutoModelForQuestionAnswering.from_pretrained("{name}")
tokenizer = AutoTokenizer.from_pretrained("{name}")
inputs = tokenizer("what is here?", "{sample}", return_tensors="pt")
scores = model(**inputs)
begin, end = scores.start_logits.argmax(), scores.end_logits.argmax()
print(tokenizer.decode(inputs["input_ids"][0, begin : end + 1]))
"""
_CHOOSE = """\
from transformers import AutoModelForMultipleChoice, AutoTokenizer

model = AutoModelForMultipleChoice.from_pretrained("{name}")
tokenizer = AutoTokenizer.from_pretrained("{name}")
options = ["one option", "another one"]
inputs = tokenizer(["{sample}"] * 2, options, return_tensors="pt", padding=True)
scores = model(**{{key: value[None] for key, value in inputs.items()}}).logits
print(options[scores.argmax()])
"""


@dataclass(frozen=True)
class _Use:
    """What a network is for, and how it is asked for it."""

    task: str  # transformers' name of it
    loader: str
    command: str  # with {name}, {mask}
    sample: str  # with {mask}
    code: str = _PIPELINE  # for transformers, with {task}, {name}, {sample}
    what: str = "A pre-trained encoder"


_CLASSIFIER = _Use(
    "text-classification", "load_classifier", "bertsmith predict {name} texts.txt", "a text"
)
_TAGGER = _Use(
    "token-classification",
    "load_tagger",
    "bertsmith predict {name} texts.txt",
    "a text",
)
_MASKED_LM = _Use(
    "fill-mask",
    "load_masked_lm",
    'bertsmith fill {name} "the {mask} is here"',
    "the {mask} is here",
)
_ENCODER = _Use(
    "feature-extraction",
    "load_encoder",
    "bertsmith finetune classify --train train.tsv --dev dev.tsv --model {name} --out tuned",
    "a text",
)
_ENCODER_DECODER = _Use(
    "text2text-generation",
    "load_encoder_decoder",
    'bertsmith fill {name} "the <extra_id_0> is here"',
    "the <extra_id_0> is here",
    _GENERATE,
    "A pre-trained encoder and decoder",
)
_WORD_VECTORS = _Use(
    "feature-extraction",
    "load_word2vec",
    "bertsmith similar {name} word",
    "word",
    what="Word vectors",
)
_SPANS = _Use(
    "question-answering",
    "load_finetuned",
    "bertsmith predict {name} questions.jsonl",
    "a text",
    _ANSWER,
    "A model that answers questions on a text",
)
_CHOICE = _Use(
    "multiple-choice",
    "load_finetuned",
    "bertsmith predict {name} questions.jsonl",
    "a question",
    _CHOOSE,
    "A model that chooses an answer",
)
_USES = {
    "ForSequenceClassification": _CLASSIFIER,
    "SequenceClassifier": _CLASSIFIER,
    "ForTokenClassification": _TAGGER,
    "TokenClassifier": _TAGGER,
    "FeatureTagger": _TAGGER,
    "ForQuestionAnswering": _SPANS,
    "SpanModel": _SPANS,
    "ForMultipleChoice": _CHOICE,
    "ChoiceModel": _CHOICE,
    "ElectraForPreTraining": _ENCODER,
    "ReplacedTokenDetector": _ENCODER,
    "ForConditionalGeneration": _ENCODER_DECODER,
    "EncoderDecoder": _ENCODER_DECODER,
    "Word2Vec": _WORD_VECTORS,
    "ForPreTraining": _MASKED_LM,
    "MaskedLM": _MASKED_LM,
}
"""By the ends of classes' names, the first that fits; what has no head is an encoder."""


def model_card(
    name: str,
    *,
    architecture: str,
    summary: str = "",
    data: str = "",
    sizes: Mapping[str, object] | None = None,
    training: Mapping[str, object] | None = None,
    scores: Mapping[str, object] | None = None,
    limits: Sequence[str] = (),
    labels: Sequence[str] | None = None,
    mask: str = "[MASK]",
) -> str:
    """Render the card. `architecture` is the class in config.json, which says what the model is
    for, `labels` are a classifier's, `mask` is the tokenizer's token for what is to be found;
    empty for a network that finds nothing there, as it reads from left to right.

    `sizes`, `training` and `scores` become tables, in the order given. The licence is left
    to whoever publishes the model.
    """
    published = bool(_family(architecture))
    use = next((use for end, use in _USES.items() if architecture.endswith(end)), _ENCODER)
    use = use if mask else _ENCODER
    sections = [
        _front_matter(_family(architecture), use),
        f"# {name}",
        summary or _summary(architecture, use, labels),
        "" if published else _BERTSMITH_ONLY,
        _section("Data", data),
        _section("Sizes", _table("size", sizes)),
        _section("Training", _table("setting", training)),
        _section("Scores", _table("score", scores)),
        _section("Labels", ", ".join(f"`{label}`" for label in labels or ())),
        _section("Use", _usage(name, use, published, mask)),
        _section("Limits", "\n".join(f"- {limit}" for limit in (*limits, *_limits(data)))),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def with_limit(card: str, limit: str) -> str:
    """`card`, which `model_card` made, with a further limit before the others."""
    head, title, others = card.rpartition("## Limits\n\n")
    return f"{head}{title}- {limit}\n{others}"


def _family(architecture: str) -> str:
    """The family of one of transformers' classes; empty for those of our own format."""
    begins = architecture.lower().startswith
    return next((family.name for family in FAMILIES if begins(family.name)), "")


def _front_matter(family: str, use: _Use) -> str:
    lines = [
        "---",
        "# license: to be chosen by whoever publishes this model",
        f"library_name: {'transformers' if family else 'bertsmith'}",
        f"pipeline_tag: {use.task}",
        "tags:",
        "- bertsmith",
        *([f"- {family}"] if family else []),
        "---",
    ]
    return "\n".join(lines)


def _summary(architecture: str, use: _Use, labels: Sequence[str] | None) -> str:
    if labels:
        what = "tagger of words with" if use is _TAGGER else "text classifier of"
        return f"A {what} {len(labels)} labels ({architecture}), made with bertsmith."
    return f"{use.what} ({architecture}), made with bertsmith."


def _limits(data: str) -> list[str]:
    known = "the data named above" if data else "its training data"
    return [f"It knows what {known} holds, with its errors and its bias, and nothing else."]


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _table(head: str, values: Mapping[str, object] | None) -> str:
    if not values:
        return ""
    return markdown_table((head, "value"), values.items())


def _usage(name: str, use: _Use, published: bool, mask: str) -> str:
    sample = use.sample.format(mask=mask)
    in_shell, in_python = shlex.quote(name), json.dumps(name, ensure_ascii=False)[1:-1]
    blocks = [
        f"With bertsmith, from the shell and from Python, where `{name}` is this folder:",
        f"```sh\n{use.command.format(name=in_shell, mask=mask)}\n```",
        "```python\n"
        f"from bertsmith.export.huggingface import {use.loader}, load_tokenizer\n\n"
        f'model = {use.loader}("{in_python}")\n'
        f'tokenizer = load_tokenizer("{in_python}")\n```',
    ]
    if published:
        blocks += [
            "With transformers:",
            f"```python\n{use.code.format(task=use.task, name=in_python, sample=sample)}```",
        ]
    return "\n\n".join(blocks)
