"""The quickstart's stages, each kept on disk, so that an interrupted one goes on.

OUT/
  text/         what is pre-trained on, and the question with its train and test rows
  tokenizer/    WordPiece
  corpus/       tokens on disk
  pretrained/   the pre-training run, with the model in model/
  finetuned/    scores of every fine-tuning
  report.html   the story, with figures
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bertsmith.analysis.similarity import Similarity, occurs, similarity
from bertsmith.config import RunConfig, resolve
from bertsmith.errors import ConfigError, TokenizerError
from bertsmith.export.huggingface import load_encoder, load_tokenizer
from bertsmith.files import is_free, write_text_atomically
from bertsmith.jobs.pretrain import PretrainResult, pretrain
from bertsmith.jobs.quickstart.page import write_page
from bertsmith.jobs.quickstart.proof import INITS, Fit, learning_curves, scores_of
from bertsmith.jobs.quickstart.texts import Question, prepare_texts
from bertsmith.jobs.quickstart.words import find_contexts
from bertsmith.recipes.base import find
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.sources import read_documents, read_texts
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer

ASKED = "asked.json"
"""Written once the text is there."""
RECIPE = "modern"
VOCAB_SIZES = (8192, 4096, 2048, 1024, 512, 256)
NARROW = {
    "model": {"num_heads": 2, "hidden_size": 128, "intermediate_size": 344},
    "optim": {"batch_tokens": 2048},
}
WIDE = {
    "model": {"num_heads": 4, "hidden_size": 256, "intermediate_size": 688},
    "optim": {"batch_tokens": 4096},
}
MINUTES_FOR_WIDE = 30
"""On two cores; a narrow network learns more in less: docs/results.md, "What a minute buys"."""
BYTES_A_PIECE = 500
"""Of text; below this a vocabulary's rare pieces are too rare to learn."""


@dataclass(frozen=True)
class QuickstartResult:
    """What there is when the call returns; no scores where it was stopped on the way."""

    report: Path | None
    pretrained: PretrainResult
    question: Question
    fits: Sequence[Fit]

    def table(self) -> list[tuple[int, float, float]]:
        """(labels, pre-trained, from scratch): medians of the macro-F1 over the seeds."""
        by_init = [scores_of(self.fits, init) for init in INITS]
        return [
            (count, median(by_init[0][count]), median(by_init[1][count])) for count in by_init[0]
        ]


def quickstart(
    out: str | Path,
    own: Sequence[str | Path] = (),
    minutes: float = 5.0,
    say: Callable[[str], None] = print,
) -> QuickstartResult:
    """Everything from text to a report in `out`; finished stages are not done again.

    `own` are files, folders or globs in place of this Python's documentation; `minutes` is
    the pre-training budget. `say` is told of each stage.
    """
    out = Path(out)
    asked = {"text": sorted(str(Path(path).resolve()) for path in own), "minutes": minutes}
    is_begun = _is_begun(out, asked)
    say("text: reading")
    text, question = prepare_texts(out / "text", [Path(path) for path in own], anew=not is_begun)
    write_text_atomically(out / ASKED, json.dumps(asked) + "\n")
    tokenizer = _tokenizer(out / "tokenizer", text, strip_accents=not own)
    say(f"tokenizer: {tokenizer.vocab_size:,} pieces")
    corpus = build_corpus([text], tokenizer, out / "corpus")
    say(f"corpus: {corpus.num_tokens:,} tokens in {corpus.num_documents:,} documents")
    pretrained = pretrain(_config(minutes), corpus, out / "pretrained")
    if pretrained.exit_status or not pretrained.finished:
        return QuickstartResult(None, pretrained, question, ())
    say(f"fine-tuning: {question.text}")
    fits = learning_curves(question, pretrained.model, out / "finetuned")
    report = write_page(
        out / "report.html",
        pretrained.folder,
        question,
        fits,
        _one_word(pretrained.model, text),
    )
    return QuickstartResult(report, pretrained, question, fits)


def _is_begun(out: Path, asked: dict[str, Any]) -> bool:
    """Whether `out` holds the text that is asked for; ConfigError where it is another, or `out`
    holds anything else, such as a tokenizer that would be taken for the quickstart's."""
    path, text = out / ASKED, out / "text"
    if not path.exists():
        rest = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
        stopped = rest == {"text"} and (is_free(text) or (text / "pretraining.jsonl").is_file())
        if not (is_free(out) or stopped):
            raise ConfigError(
                "is there already, and is no quickstart", where=out, mend="give another --out"
            )
        return False
    begun = json.loads(path.read_text("utf-8"))
    if begun != asked:
        raise ConfigError(
            f"a quickstart of {', '.join(begun['text']) or 'this Python'} for "
            f"{begun['minutes']:g} minutes was begun here",
            where=out,
            mend="give another --out",
        )
    return True


def _tokenizer(folder: Path, text: Path, strip_accents: bool) -> Tokenizer:
    """A tokenizer as large as the text can fill; accents are letters in many languages."""
    if not (folder / "tokenizer.json").exists():
        choices = {**find(RECIPE).tokenizer, "strip_accents": strip_accents}
        sizes = [size for size in VOCAB_SIZES if size * BYTES_A_PIECE <= text.stat().st_size]
        for size in sizes or VOCAB_SIZES[-1:]:
            try:
                train_tokenizer(read_texts([text]), size, **choices).save(folder)
                break
            except TokenizerError:
                if size == VOCAB_SIZES[-1]:
                    raise
    return Tokenizer.load(folder)


def _config(minutes: float) -> RunConfig:
    """As large a network as the time can train."""
    size = WIDE if minutes >= MINUTES_FOR_WIDE else NARROW
    return resolve(find(RECIPE).config, {"budget": {"minutes": minutes}}, size)


def _one_word(model: Path, text: Path) -> Similarity | None:
    """One ambiguous word's vectors in ten contexts; None where the text has no such word."""
    tokenizer = load_tokenizer(model)
    found = find_contexts(read_documents([text]), partial(occurs, tokenizer))
    if found is None:
        return None
    word, sentences = found
    return similarity(load_encoder(model), tokenizer, word, sentences)
