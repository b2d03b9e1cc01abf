"""`kill -9` at random moments: the same command goes on, and ends in the same weights.

    python -m benchmarks.kill [--quick]

A tiny real run that saves after every step is started, killed and started again by the same
command until it ends of itself; then its weights' SHA-256 is compared with that of a run that
nobody disturbed. Then the next run, until all kills are spent. A kill falls anywhere in the life
of the process, its start and end included; every third waits for a save to begin. Which of them
hit a save is read off the disk: a temporary checkpoint is left, or an old one not yet removed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.timing import ratio
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.sources import Document
from bertsmith.text.tokenizer_training import train_tokenizer

KILLS, QUICK_KILLS = 100, 9
SAVES_SHARE = 0.3
"""Of the kills, at least, inside a save."""
STEPS = 150
KEPT = 2
SETTINGS = {
    "model.num_layers": 2,
    "model.num_heads": 2,
    "model.hidden_size": 64,
    "model.intermediate_size": 128,
    "data.max_length": 32,
    "optim.batch_tokens": 256,
    "log.checkpoint_minutes": 1e-9,
    "log.keep_checkpoints": KEPT,
    "log.eval_tokens": 512,
    "log.evaluations": 2,
}


@dataclass
class Tally:
    """What became of the kills so far."""

    kills: int = 0
    in_saves: int = 0
    resumed: int = 0
    """Kills whose run ended as if they had not been."""
    runs: int = 0


def write_corpus(folder: Path) -> Path:
    """A corpus of made-up sentences."""
    draw = random.Random(0)
    letters = "aeioulmnrst"
    words = ["".join(draw.choices(letters, k=draw.randint(2, 7))) for _ in range(400)]
    documents = [
        Document("\n".join(" ".join(draw.choices(words, k=9)) + "." for _ in range(12)))
        for _ in range(200)
    ]
    tokenizer = train_tokenizer((document.text for document in documents), 200)
    build_corpus(documents, tokenizer, folder, workers=1)
    return folder


def command(corpus: Path, out: Path, steps: int) -> list[str]:
    """What is run, killed, and given again."""
    settings = {**SETTINGS, "budget.steps": steps}
    pairs = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    return [
        *(sys.executable, "-m", "bertsmith", "pretrain", "modern"),
        *("--corpus", str(corpus), "--out", str(out), *pairs),
    ]


def run(arguments: Sequence[str], kill_after: float | None, aim: Path | None = None) -> str | None:
    """Run a command; what it wrote to stderr if it ended, None where it was killed.

    It is killed `kill_after` seconds from its start, and with `aim` at the next save in that
    folder of checkpoints after that. Ends the benchmark where the command fails.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=said, env=environment
        )
        began = time.monotonic()
        while kill_after is not None and process.poll() is None:
            if time.monotonic() - began >= kill_after and (aim is None or _is_saving(aim)):
                process.kill()
                break
            time.sleep(0.0002)
        status = process.wait()
        said.seek(0)
        text = said.read().decode()
    if status == -9:
        return None
    if status != 0:
        raise SystemExit(f"the same command again ended with {status}: {text}")
    return text


def _is_saving(checkpoints: Path) -> bool:
    return any(checkpoints.glob(".step-*.tmp"))


def was_saving(checkpoints: Path) -> bool:
    """Whether the process that is dead now was inside a save, by what is left."""
    finished = list(checkpoints.glob("step-*"))
    return _is_saving(checkpoints) or len(finished) > KEPT


def weights_digest(out: Path) -> str:
    """SHA-256 of the published weights."""
    return hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()


def last_step(checkpoints: Path) -> int | None:
    """Of the finished checkpoints."""
    return max((int(path.name[5:]) for path in checkpoints.glob("step-*")), default=None)


def kill_runs(folder: Path, kills: int, steps: int = STEPS, seed: int = 0) -> Tally:
    """Kill `kills` times and report; ends the benchmark where a run does not go on."""
    draw, tally = random.Random(seed), Tally()
    corpus = write_corpus(folder / "corpus")
    began = time.monotonic()
    run(command(corpus, folder / "undisturbed", steps), None)
    lifetime, expected = time.monotonic() - began, weights_digest(folder / "undisturbed")
    while tally.kills < kills:
        out = folder / f"run{tally.runs}"
        checkpoints, here = out / "checkpoints", 0
        while True:
            step_before = last_step(checkpoints)
            is_last = tally.kills == kills
            aim = checkpoints if tally.kills % 3 == 0 else None
            text = run(
                command(corpus, out, steps), None if is_last else draw.uniform(0, lifetime), aim
            )
            if text is not None:
                break
            here, tally.kills = here + 1, tally.kills + 1
            tally.in_saves += was_saving(checkpoints)
        went_on = re.search(r"going on from step ([\d,]+)", text)
        found = int(went_on[1].replace(",", "")) if went_on else None
        left = [path.name for path in out.rglob(".*")]
        if weights_digest(out) == expected and found == step_before and not left:
            tally.resumed += here
        else:
            print(f"{out}: from step {found}, where {step_before} was saved; left behind: {left}")
        tally.runs += 1
    return tally


def main() -> None:
    """Kill, and print how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_KILLS} kills, not {KILLS}")
    kills = QUICK_KILLS if parser.parse_args().quick else KILLS
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_runs(Path(folder), kills)
    print(
        f"{tally.kills} kills in {tally.runs} runs of {STEPS} steps, {tally.in_saves} of them "
        "inside a save"
    )
    ratio("kill_resumed", tally.resumed / tally.kills, 1.0)
    ratio("kill_in_saves_over_30_percent", tally.in_saves / (SAVES_SHARE * tally.kills), 1.0)


if __name__ == "__main__":
    main()
