"""A toy language in which context helps, and recipes small enough to learn it in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bertsmith.config import RunConfig, resolve
from bertsmith.recipes.base import find
from bertsmith.text.corpus import Corpus
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.pipeline import FIRST
from bertsmith.text.sources import Document
from bertsmith.text.tokenizer_training import train_tokenizer
from wordpieces import wordpiece

SUBJECTS, VERBS = ("cat", "dog", "bird", "fox"), ("sees", "hears", "finds")
OBJECTS = {"cat": "mouse", "dog": "bone", "bird": "worm", "fox": "hen"}
VOCABULARY = {"wordpiece": 120, "bpe": 300, "unigram": 90, "words": 22}
TINY = {
    "model": {
        "num_layers": 2,
        "num_heads": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    },
    "data": {
        "max_length": 32,
        "subsample": 0.0,  # none of its words is rare
        "phrases": str(Path(__file__).with_name("phrases.txt")),
        "entities": str(Path(__file__).with_name("entities.tsv")),
    },
    "optim": {"batch_tokens": 256, "lr": 3e-3},
    "budget": {"steps": 12},
    "log": {"eval_tokens": 512, "evaluations": 2},
}


def documents(count: int, seed: int = 0) -> list[Document]:
    """Each about one animal; what it finds depends on it."""
    generator = np.random.default_rng(seed)
    found = []
    for index in range(count):
        subject = SUBJECTS[generator.integers(4)]
        sentences = [
            f"the {subject} {VERBS[generator.integers(3)]} the {OBJECTS[subject]}."
            for _ in range(int(generator.integers(2, 8)))
        ]
        sentences.append(f"this was story number {index}.")
        found.append(Document("\n".join(sentences)))
    return found


def make_corpus(recipe: str, folder: Path) -> Corpus:
    """300 documents, cut by a tokenizer such as the recipe asks for."""
    texts, wanted = documents(300), find(recipe).tokenizer
    further = len(FIRST[wanted.get("special_tokens", "bert")]) - len(FIRST["bert"])
    size = VOCABULARY[wanted.get("kind", "wordpiece")] + further
    strings = [document.text for document in texts]
    tokenizer = (
        wordpiece(strings, size)
        if wanted.get("kind", "wordpiece") == "wordpiece"
        else train_tokenizer(strings, size, **wanted)
    )
    return build_corpus(texts, tokenizer, folder)


def config(recipe: str, **changes: object) -> RunConfig:
    """The recipe's config, tiny, with a decoder where it has one."""
    published = find(recipe).config
    decoder = {"model": {"num_decoder_layers": min(2, published.model.num_decoder_layers)}}
    return resolve(published, TINY, decoder, changes)
