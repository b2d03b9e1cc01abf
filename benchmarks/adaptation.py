"""What reading a domain's text is worth to a model, with its words in the vocabulary and without.

    python -m benchmarks.adaptation MODEL --text FILE... --out DIR [--add N] [--tokens N] [--lr R]

MODEL is a masked LM with a WordPiece tokenizer. A twentieth of the documents is held out. Two arms
go on from MODEL with the recipe `modern` for the same number of tokens, one after `vocab extend`.
Tokenizers with other tokens have losses that say nothing to each other, so what is compared is nats
a word: every SPACING-th word of the held-out sentences is masked whole, the same words for all, and
costs the sum over its pieces. `--quick` is the same thing for 20,000 tokens.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from benchmarks.mistakes import told_in_a_line
from bertsmith.data.examples import ListSource
from bertsmith.data.loader import sequential_batches
from bertsmith.export.folder import load_tokenizer
from bertsmith.export.networks import load_masked_lm
from bertsmith.jobs.extend_vocabulary import extend_vocabulary
from bertsmith.jobs.pretrain import load_config, pretrain
from bertsmith.nn.models import MaskedLM
from bertsmith.text.clean import clean_document
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.sources import read_documents
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Example

HELD_OUT = 20
"""One document in so many."""
SPACING = 7
SENTENCES = 4000
MOST_TOKENS = 100
"""Of a sentence, before its words are in the vocabulary: longer ones are left out."""
BATCH_TOKENS = 4096


@told_in_a_line()
def main() -> None:
    """Extend, go on twice, and print nats a word of four models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--text", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--add", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=2_000_000)
    parser.add_argument("--lr", type=float, default=4e-4)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    out, tokens = arguments.out, 20_000 if arguments.quick else arguments.tokens
    text = out / "domain.txt"
    out.mkdir(parents=True, exist_ok=True)
    sentences = split(arguments.text, text, load_tokenizer(arguments.model))
    found = extend_vocabulary(
        arguments.model, out / "extended", texts=[text], add=arguments.add, layout="blank"
    )
    print(
        f"{len(found.added):,} words added: {found.before.pieces_per_word:.3f} pieces a word, "
        f"then {found.after.pieces_per_word:.3f}"
    )
    print(f"{'model':<10}  {'at the start':>12}  {'after ' + format(tokens, ','):>16}  nats a word")
    for name, start in (("as it is", arguments.model), ("extended", out / "extended")):
        after = go_on(start, text, out / name.replace(" ", "_"), tokens, arguments.lr)
        before_loss, after_loss = (word_loss(model, sentences) for model in (start, after))
        print(f"{name:<10}  {before_loss:>12.3f}  {after_loss:>16.3f}", flush=True)


def split(paths: Sequence[str], text: Path, tokenizer: Tokenizer) -> list[str]:
    """Write the documents to train on to `text`, and return the sentences held out."""
    held: list[str] = []
    with text.open("w", encoding="utf-8") as file:
        for index, document in enumerate(read_documents(paths)):
            sentences = clean_document(document.text)[0]
            if index % HELD_OUT == 0:
                held += sentences
            else:
                file.write("\n".join(sentences) + "\n\n")
    short = (s for s in held if len(tokenizer.encode(s).ids) <= MOST_TOKENS)
    return list(islice(short, SENTENCES))


def go_on(start: Path, text: Path, out: Path, tokens: int, lr: float) -> Path:
    """The folder of `start` after `tokens` of `text`."""
    corpus = build_corpus([text], load_tokenizer(start), out / "corpus", layout="blank")
    sets = [f"budget.tokens={tokens}", f"optim.lr={lr}", f"optim.muon_lr={10 * lr}"]
    return pretrain(load_config("modern", sets, start), corpus, out / "run").model


@torch.no_grad()
def word_loss(model: Path, sentences: Sequence[str]) -> float:
    """Nats a masked word of `sentences`."""
    network, tokenizer = load_masked_lm(model), load_tokenizer(model)
    examples, words = [], 0
    for sentence in sentences:
        encoding = tokenizer.encode(sentence)
        places = [
            place
            for place, word in enumerate(encoding.word_ids)
            if word is not None and word % SPACING == SPACING // 2
        ]
        if places:
            words += len({encoding.word_ids[place] for place in places})
            ids, labels = np.array(encoding.ids), np.array(encoding.ids)[places]
            ids[places] = tokenizer.mask_id
            examples.append(Example(ids, np.zeros_like(ids), np.array(places), labels))
    return sum(_losses(network, examples)) / words


def _losses(network: MaskedLM, examples: list[Example]) -> Iterator[float]:
    for batch in sequential_batches(ListSource(examples), BATCH_TOKENS):
        targets = batch.targets
        scores = network.scores(network(batch), targets["mlm_positions"])
        loss = torch.nn.functional.cross_entropy(scores, targets["mlm_labels"], reduction="sum")
        yield float(loss)


if __name__ == "__main__":
    main()
