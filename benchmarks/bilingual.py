"""Does alignment come with data? Encoders pre-trained on 1/25, 1/5 and all of two languages.

    python -m benchmarks.bilingual --english FILE... --chinese FILE... --dictionary FILE
        --parallel FILE --out DIR [--tokens N] [--data-tokens N] [--models N] [--words N]
        [--only SHARE ...]

Liu et al. 2020 (arXiv:2004.09205) found that BERT aligns two languages by itself, and only where it
has text enough. Here the same network sees the same number of tokens three times, out of nested
corpora of three sizes, half English and half Chinese. "All" is --data-tokens, by default as many as
are trained on, so that the small ones are gone through 5 and 25 times. At every model kept on the
way: nats a masked token of text held out of all, by language; `analyze alignment`; `analyze
language`, English to Chinese.

The same command goes on where it stopped. Once tokenizer and held-out text are there, --only
SHARE trains them side by side. OUT has bilingual.tsv, bilingual.png, and for every model the page
of the two instruments. `--quick` is the same thing in minutes, with next to no training.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.bilingual_figure import draw
from benchmarks.bilingual_text import (
    Language,
    balanced_corpus,
    chars_per_token,
    held_out_corpus,
    joint_tokenizer,
)
from benchmarks.heldout import HeldOut
from benchmarks.mistakes import told_in_a_line
from bertsmith.files import write_text_atomically
from bertsmith.jobs.analyses.alignment import analyze_alignment
from bertsmith.jobs.analyses.language import analyze_language
from bertsmith.jobs.pretrain import MODELS, load_config, pretrain
from bertsmith.report.images import save

RUN = Path(__file__).parents[1] / "runs" / "bilingual-mini.toml"
SHARES = {"1/25": 1 / 25, "1/5": 1 / 5, "all": 1.0}
HELD_OUT_SHARE = 0.4
"""Of the text that is in no corpus, for losses."""
QUICK = (
    *("model.num_layers=2", "model.num_heads=2", "model.hidden_size=128"),
    *("model.intermediate_size=344", "log.models=3", "log.evaluations=2"),
)
QUICK_TOKENS, QUICK_VOCABULARY = 400_000, 6000


@dataclass(frozen=True)
class Questions:
    """What every model is asked."""

    dictionary: Path
    parallel: Path
    texts: Mapping[str, Path]
    """By language, held out of all corpora."""
    held_out: Mapping[str, HeldOut]
    words: int

    def ask(self, model: Path, out: Path) -> dict[str, float]:
        """The answers of one model; those that are in `out` are taken from there."""
        path = out / "answers.json"
        if path.exists():
            found: dict[str, float] = json.loads(path.read_text("utf-8"))
            return found
        english, chinese = ([str(self.texts[name])] for name in ("english", "chinese"))
        answers = {
            f"loss_{name}": one.loss_and_accuracy(model)[0] for name, one in self.held_out.items()
        }
        analyze_alignment(
            model,
            out,
            dictionary=self.dictionary,
            source_texts=english,
            target_texts=chinese,
            parallel=self.parallel,
            words=self.words,
        )
        analyze_language(
            model,
            out,
            dictionary=self.dictionary,
            source_texts=english,
            target_texts=chinese,
        )
        answers |= summarised(
            json.loads((out / "alignment.json").read_text("utf-8")),
            json.loads((out / "language.json").read_text("utf-8")),
        )
        write_text_atomically(path, json.dumps(answers, indent=1) + "\n")
        return answers


def summarised(alignment: Mapping[str, Any], language: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that are followed: of the best layer, both directions' mean."""
    answers = {}
    for what in ("words", "sentences"):
        for centred, suffix in ((False, ""), (True, "_centred")):
            rows = [
                row for row in alignment["rows"] if (row["what"], row["centred"]) == (what, centred)
            ]
            layers = {row["layer"] for row in rows}
            means = [
                sum(row["mrr"] for row in rows if row["layer"] == layer) / 2 for layer in layers
            ]
            answers[f"{what}{suffix}"] = max(means)
        answers[f"{what}_chance"] = max(row["chance_mrr"] for row in rows)
    best = language["layers"][language["best"]]
    answers |= {name: best["language"][name] for name in ("turned", "hits", "dealt")}
    return answers | {f"random_{name}": best["random"][name] for name in ("turned", "hits")}


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All of it; a row for each model that was kept."""
    out: Path = arguments.out
    languages = [Language.open(name, getattr(arguments, name)) for name in ("english", "chinese")]
    tokenizer = joint_tokenizer(languages, arguments.vocab_size, out / "tokenizer")
    rates = [chars_per_token(one, tokenizer) for one in languages]
    most = 2 * min(one.trainable_chars / rate for one, rate in zip(languages, rates, strict=True))
    tokens = min(arguments.data_tokens or arguments.tokens, most)
    held_out, texts = {}, {}
    for language in languages:
        corpus, texts[language.name] = held_out_corpus(language, tokenizer, out / "held_out")
        held_out[language.name] = HeldOut(corpus, HELD_OUT_SHARE)
    questions = Questions(
        arguments.dictionary, arguments.parallel, texts, held_out, arguments.words
    )
    rows = []
    sets = [f"budget.tokens={arguments.tokens}", *arguments.set, *(QUICK * arguments.quick)]
    for name in arguments.only:
        share = SHARES[name]
        folder = out / name.replace("/", "_of_")
        corpus = balanced_corpus(languages, rates, share * tokens, tokenizer, folder / "corpus")
        result = pretrain(load_config(arguments.run, sets), corpus, folder / "run")
        if not result.finished:
            raise SystemExit(result.exit_status)
        for kept in spread(sorted((folder / "run" / MODELS).iterdir()), arguments.models):
            answers = questions.ask(kept / "model", folder / "looked" / kept.name)
            seen = int(kept.name.removeprefix("tokens-"))
            rows.append({"data": name, "text": corpus.num_tokens, "tokens": seen, **answers})
            print(shown(rows[-1]), flush=True)
    return rows


def spread(models: Sequence[Path], most: int) -> list[Path]:
    """At most `most` of them, evenly, the last one in any case."""
    count = len(models)
    places = {count - 1 - number * count // most for number in range(min(most, count))}
    return [models[place] for place in sorted(places)]


def shown(row: Mapping[str, Any]) -> str:
    """A line of a table."""
    names = ("loss_english", "loss_chinese", "words_centred", "sentences_centred", "turned", "hits")
    values = "  ".join(f"{row[name]:>{len(name)}.3f}" for name in names)
    return f"{row['data']:<5} {row['tokens']:>12,}  {values}"


def write(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """The table and the figure."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[f"{row.get(name, '')}" for name in columns] for row in rows]
    lines = ["\t".join(line) + "\n" for line in (columns, *cells)]
    write_text_atomically(out / "bilingual.tsv", "".join(lines))
    save(draw(rows), out / "bilingual")


def main() -> None:
    """Run what is asked for on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("--english", "--chinese"):
        parser.add_argument(name, nargs="+", required=True)
    for name in ("--dictionary", "--parallel", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--run", type=Path, default=RUN, help="a run file")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE of the run")
    parser.add_argument("--tokens", type=int, default=20_000_000, help="of each run")
    parser.add_argument("--data-tokens", type=int, help='of "all"; as many as --tokens')
    parser.add_argument("--vocab-size", type=int, default=16_000)
    parser.add_argument("--words", type=int, default=1500, help="of the dictionary")
    parser.add_argument("--models", type=int, default=16, help="that are asked")
    parser.add_argument("--only", nargs="+", choices=SHARES, default=list(SHARES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if arguments.models < 1:
        parser.error("--models: at least one is asked")
    if arguments.quick:
        arguments.tokens, arguments.vocab_size = QUICK_TOKENS, QUICK_VOCABULARY
        arguments.words = 300
    torch.set_num_threads(arguments.threads)
    with told_in_a_line():
        rows = run(arguments)
    write(rows, arguments.out)
    print(f"figure  {arguments.out / 'bilingual.png'}")


if __name__ == "__main__":
    main()
