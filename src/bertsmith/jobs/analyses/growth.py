"""`bertsmith analyze growth`: the models that a run kept on its way, asked what they know.

    RUN/models/tokens-N/model
      --similarity, attention, fill, layers, anisotropy--> OUT/tokens-N/, a page for each model
      --a few numbers of each--> curves over the run, beside its loss

The same command goes on where it stopped: a model that has answered the same questions, told by
the checksums of weights and files, is not asked again.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bertsmith.errors import DataError
from bertsmith.export.weights import WEIGHTS
from bertsmith.files import write_text_atomically
from bertsmith.jobs.analyses.anisotropy import analyze_anisotropy
from bertsmith.jobs.analyses.attention import PRONOUNS, analyze_attention
from bertsmith.jobs.analyses.fill import COLA_FILES, analyze_fill
from bertsmith.jobs.analyses.layers import analyze_layers
from bertsmith.jobs.analyses.similarity import analyze_similarity
from bertsmith.jobs.fill import load_filler
from bertsmith.jobs.pretrain import MODELS
from bertsmith.report import growth as shown
from bertsmith.report.analyses import require_folder, write_analysis
from bertsmith.report.log import RunLog, read_run
from bertsmith.text.lines import file_sha256

Answers = dict[str, float]
Content = dict[str, list[str]]
"""SHA-256 of the files of each question."""
ANSWERS = "answers.json"
PROBE_WORDS, PROBE_DRAWS = 4000, 1
"""Of the probes for tags, which are trained anew for every layer of every model."""
APART = 0.05
"""A word's senses are apart where chance does as well less often than this."""


@dataclass(frozen=True)
class Questions:
    """What every model is asked; what is None is not, or has a set of its own."""

    sentences: str | None
    pos: tuple[str, str] | None
    pairs: str | None
    cola: str | None

    def files(self) -> dict[str, list[Path]]:
        """Which each of them is read from."""
        cola = [] if self.cola is None else [Path(self.cola) / name for name in COLA_FILES]
        one = {"sentences": self.sentences, "pairs": self.pairs}
        named = {name: [Path(path)] for name, path in one.items() if path is not None}
        return named | {"pos": [Path(path) for path in self.pos or ()], "cola": cola}

    def ask(self, model: Path, out: Path, content: Content) -> Answers:
        """The answers of one model; the same that are in `out` already, by the content of all
        files, are taken from there."""
        asked = {**content, "model": [file_sha256(model / WEIGHTS)]}
        path = out / ANSWERS
        known: Mapping[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        if known.get("asked") == asked:
            return dict(known["answers"])
        analyze_similarity(model, out, sentences=self.sentences)
        pronouns = None if self.sentences else PRONOUNS
        analyze_attention(model, out, sentences=self.sentences, pairs=pronouns)
        answers = of_senses(_found(out, "similarity")) | of_heads(_found(out, "attention"))
        if self.pos:
            analyze_layers(model, out, pos=self.pos, words=PROBE_WORDS, draws=PROBE_DRAWS)
            answers |= of_tags(_found(out, "layers"))
        if self.pairs:
            analyze_anisotropy(model, out, pairs=[self.pairs], flow=False)
            answers |= of_vectors(_found(out, "anisotropy"))
        if self.cola:
            analyze_fill(model, out, cola=self.cola)
            judged = _found(out, "fill")["pairs"]
            answers |= {f"grammar{end}": judged[name] for end, name in _interval("accuracy")}
        text = json.dumps({"asked": asked, "answers": answers}, indent=1) + "\n"
        write_text_atomically(path, text)
        return answers


def analyze_growth(
    run: str | Path,
    out: str | Path,
    *,
    sentences: str | Path | None = None,
    pos: tuple[str | Path, str | Path] | None = None,
    pairs: str | Path | None = None,
    cola: str | Path | None = None,
) -> Path:
    """What the models in RUN/models know, one after another. Returns the page's path.

    `run` is what `pretrain` left with `log.models`. Asked are the senses of words and the heads
    (`sentences`, a table of word, sentence and sense; None: the English ones that come with this,
    and pronouns); a probe for tags, learnt and tried on `pos`; likeness of sentences on `pairs`;
    grammar on the files of `cola`. Raises DataError where `run` kept no models, ModelError
    where they fill no masks and `cola` is asked for, and what the instruments raise.
    """
    require_folder(out)
    run, out = Path(run), Path(out)
    log = read_run(run / "log.jsonl")
    kept = sorted(run.glob(f"{MODELS}/tokens-*/model"))
    if not kept:
        raise DataError(
            "kept no models on its way", where=run, mend="pretrain with --set log.models=16"
        )
    questions = Questions(
        None if sentences is None else str(sentences),
        None if pos is None else (str(pos[0]), str(pos[1])),
        None if pairs is None else str(pairs),
        None if cola is None else str(cola),
    )
    content: Content = {}
    for asked, paths in questions.files().items():
        for path in paths:
            if not path.is_file():  # found out before, not after a minute
                raise DataError("no such file", where=path, mend="check the path")
        content[asked] = [file_sha256(path) for path in paths]
    if cola is not None:
        load_filler(kept[0])  # likewise
    models = []
    for model in kept:
        name = model.parent.name
        answers = questions.ask(model, out / name, content)
        models.append({"name": name, "tokens": int(name.removeprefix("tokens-")), **answers})
    data = {
        "model": str(run),
        "recipe": log.run["recipe"],
        "asked": asdict(questions),
        "unigram_entropy": log.run.get("unigram_entropy"),
        "loss": _losses(log),
        "models": models,
    }
    return write_analysis(out, "growth", data, shown.columns(data), shown.rows(data))


def of_senses(similarity: Mapping[str, Any]) -> Answers:
    """Of all words the quartiles of the gap between senses, and the share whose senses are apart.

    Empty where the sentences have no senses.
    """
    found = [word["separation"] for word in similarity["words"] if "separation" in word]
    if not found:
        return {}
    gaps = [each["within"] - each["between"] for each in found]
    low, median, high = quartiles(gaps)
    apart = [gap > 0 and each["p_value"] < APART for gap, each in zip(gaps, found, strict=True)]
    return {
        "senses": median,
        "senses_low": low,
        "senses_high": high,
        "senses_apart": sum(apart) / len(apart),
    }


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower one, the median and the upper one."""
    if len(values) == 1:
        return (values[0],) * 3
    low, median, high = statistics.quantiles(values, method="inclusive")
    return low, median, high


def of_heads(attention: Mapping[str, Any]) -> Answers:
    """The most that any head gives to the neighbours, and the best one's share of pronouns."""
    answers = {}
    for name in ("previous", "next"):
        measured = attention["measures"][name]
        answers[name] = max(value for layer in measured["means"] for value in layer)
        answers[f"{name}_uniform"] = measured["uniform"]
    best = (attention["pairs"] or {}).get("best")
    if best:
        answers |= {f"pronouns{end}": best[name] for end, name in _interval("share")}
    return answers


def of_tags(layers: Mapping[str, Any]) -> Answers:
    """The best layer's accuracy and selectivity, and the embeddings' accuracy."""
    (task,) = layers["tasks"]
    best = max(task["layers"], key=lambda layer: layer["accuracy"])
    return {
        **{f"tags{end}": best[name] for end, name in _interval("accuracy")},
        "tags_selectivity": best["selectivity"],
        "tags_embeddings": task["layers"][0]["accuracy"],
        "tags_majority": task["majority"],
    }


def of_vectors(anisotropy: Mapping[str, Any]) -> Answers:
    """How the mean of the last layer agrees with people, and how far its tokens point one way."""
    by_layer = anisotropy["layers"]
    answers: Answers = {"cone": by_layer[-1], "cone_embeddings": by_layer[0]}
    for row in anisotropy["agreements"]:
        if row["vectors"] == "mean" and row["cure"] == "as they are":
            answers |= {f"likeness{end}": row[name] for end, name in _interval("spearman")}
        elif row["cure"] == "whitened" and row["spearman"] is not None:
            names = {"mean": "likeness_whitened", "static": "likeness_static"}
            if row["vectors"] in names:
                answers[names[row["vectors"]]] = row["spearman"]
    return answers


def _interval(value: str) -> tuple[tuple[str, str], ...]:
    return ("", value), ("_low", "low"), ("_high", "high")


def _losses(log: RunLog) -> list[dict[str, float]]:
    """The held-out loss of masked tokens, or of whatever the recipe learns by."""
    losses = []
    for record in log.of("eval"):
        loss = float(record["mlm_loss"] if "mlm_loss" in record else record["loss"])
        losses.append({"tokens": float(record["tokens"]), "loss": loss})
    return losses


def _found(out: Path, name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((out / f"{name}.json").read_text("utf-8"))
    return data
