"""What a model of language knows of DNA, proteins and music: pre-trained against random weights.

    python -m benchmarks.symbols MODEL --data DIR --out DIR [--only NAME ...] [--seeds N]

Kao & Lee 2021: each symbol stands for a random word of MODEL's vocabulary, and the same network is
fine-tuned from MODEL's weights and from random ones, for as many steps, on the same four fifths of
each set; the rest is scored (DIR holds dna_splice.tsv, protein_family.tsv, music_nottingham.tsv, or
some of them). Prints the table of accuracies, and leaves in OUT/NAME/curve the losses and scores of
all seeds and the loss around the first, for which that is trained four times again, but with
`--curves-only`. `--new-embeddings` gives each symbol an embedding of its own. What is finished is
not done again. `--quick` is the same thing with a few sequences, for one epoch.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.mistakes import told_in_a_line
from bertsmith.errors import DataError
from bertsmith.jobs.analyses.curve import analyze_curve
from bertsmith.jobs.finetune import FinetuneResult, finetune
from bertsmith.markdown import markdown_row, markdown_table
from bertsmith.tasks.symbols import SymbolTask, symbols


@dataclass(frozen=True)
class Sequences:
    """A file of labelled sequences, how many of its rows are taken, and how they are learnt."""

    name: str
    file: str
    alphabet: str
    epochs: int
    max_length: int
    rows: int | None = None
    """So many, evenly out of the file; None: all."""

    @property
    def stem(self) -> str:
        """What --only calls it."""
        return Path(self.file).stem


SETS = (
    Sequences("splice sites in DNA", "dna_splice.tsv", "letters", epochs=8, max_length=64),
    Sequences("protein families", "protein_family.tsv", "letters", 8, max_length=256, rows=2500),
    Sequences("dances", "music_nottingham.tsv", "notes", epochs=16, max_length=256),
)
STEMS = [one.stem for one in SETS]
QUICK_ROWS = 60


@told_in_a_line()
def main() -> None:
    """Fine-tune what is asked for on the command line, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        choices=STEMS,
        metavar="NAME",
        help="file names, without .tsv",
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--new-embeddings", action="store_true")
    parser.add_argument("--curves-only", action="store_true")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    asked = [one for one in SETS if one.stem in (arguments.only or STEMS)]
    there = [one for one in asked if (arguments.data / one.file).is_file()]
    if not there:
        names = ", ".join(one.file for one in asked)
        mend = "give the folder that holds one of them"
        raise DataError(f"none of {names} here", where=arguments.data, mend=mend)
    columns = ["", "sequences", "classes", "largest class", "pre-trained", "random weights"]
    print(markdown_table(columns, []), flush=True)
    for one in there:
        task = symbols(alphabet=one.alphabet, new_embeddings=arguments.new_embeddings)
        rows = QUICK_ROWS if arguments.quick else one.rows
        out = arguments.out / one.stem
        data = taken(arguments.data / one.file, rows, out.with_suffix(".tsv"))
        tuned = finetune(
            task,
            data,
            None,
            arguments.model,
            out / "run",
            seeds=1 if arguments.quick else arguments.seeds,
            from_scratch=True,
            epochs=1 if arguments.quick else one.epochs,
            max_length=one.max_length,
        )
        if not tuned.finished:
            raise SystemExit(tuned.exit_status)
        print(line(one.name, tuned, largest_class(task, data)), flush=True)
        if not (out / "curve" / "report.html").exists():
            shape: dict[str, Any] = {"grid": 2, "examples": 8} if arguments.quick else {}
            surface = not arguments.curves_only
            analyze_curve(out / "run", out / "curve", surface=surface, **shape)


def taken(source: Path, rows: int | None, out: Path) -> Path:
    """`source`, or, written to `out`, its head and `rows` lines at equal distances."""
    if rows is None:
        return source
    head, *lines = source.read_text("utf-8").splitlines(keepends=True)
    kept = [lines[place * len(lines) // rows] for place in range(min(rows, len(lines)))]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join([head, *kept]), "utf-8")
    return out


def largest_class(task: SymbolTask, data: Path) -> float:
    """Its share of what is scored."""
    held = task.parted(task.read(data), None)[1].rows
    return max(Counter(row.label for row in held).values()) / len(held)


def line(name: str, tuned: FinetuneResult, largest: float) -> str:
    """A row of the table: accuracies in percent, median (lowest to highest seed)."""
    scores = json.loads((tuned.folder / "scores.json").read_text("utf-8"))
    count = scores["train_examples"] + scores["dev_examples"]
    cells = [
        f"{100 * spread['median']:.1f} ({100 * spread['min']:.1f} to {100 * spread['max']:.1f})"
        for spread in (scores["summary"][init]["accuracy"] for init in ("pretrained", "scratch"))
    ]
    sizes = [f"{count:,}", str(len(scores["labels"])), f"{100 * largest:.1f}"]
    return markdown_row([name, *sizes, *cells])


if __name__ == "__main__":
    main()
