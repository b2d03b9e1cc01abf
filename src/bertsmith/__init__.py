"""Your own BERT, from raw text to a served model, on the machine you have.

    import bertsmith as bs

    tokenizer = bs.train_tokenizer(bs.read_texts(["my_texts/"]), vocab_size=8192)
    corpus = bs.build_corpus(["my_texts/"], tokenizer, "corpus")
    run = bs.pretrain(bs.load_config("modern", ["budget.minutes=20"]), corpus, "run")
    tuned = bs.finetune("classify", "train.tsv", "dev.tsv", run.model, "tuned")
    print(bs.fill(run.model, "paris is the [MASK] of france"), tuned.scores["summary"])

The names below are imported when they are first used, so that `import bertsmith` is light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bertsmith.analysis.attention import attention_maps
    from bertsmith.analysis.similarity import similarity
    from bertsmith.errors import BertsmithError
    from bertsmith.export.huggingface import (
        load_classifier,
        load_encoder,
        load_masked_lm,
        load_tokenizer,
        save_model,
    )
    from bertsmith.jobs.embed import embed, embed_file
    from bertsmith.jobs.fill import fill
    from bertsmith.jobs.finetune import finetune
    from bertsmith.jobs.glue import glue
    from bertsmith.jobs.predict import evaluate_file, predict_file
    from bertsmith.jobs.pretrain import load_config, pretrain
    from bertsmith.jobs.quickstart.run import quickstart
    from bertsmith.jobs.search import search
    from bertsmith.text.corpus import Corpus
    from bertsmith.text.corpus_building import build_corpus
    from bertsmith.text.sources import read_documents, read_texts
    from bertsmith.text.tokenizer import Tokenizer
    from bertsmith.text.tokenizer_training import train_tokenizer

__version__ = "0.1.0"

_HOMES = {
    "bertsmith.analysis.attention": ("attention_maps",),
    "bertsmith.analysis.similarity": ("similarity",),
    "bertsmith.errors": ("BertsmithError",),
    "bertsmith.export.huggingface": (
        *("load_classifier", "load_encoder", "load_masked_lm", "load_tokenizer", "save_model"),
    ),
    "bertsmith.jobs.embed": ("embed", "embed_file"),
    "bertsmith.jobs.fill": ("fill",),
    "bertsmith.jobs.finetune": ("finetune",),
    "bertsmith.jobs.glue": ("glue",),
    "bertsmith.jobs.predict": ("evaluate_file", "predict_file"),
    "bertsmith.jobs.pretrain": ("load_config", "pretrain"),
    "bertsmith.jobs.quickstart.run": ("quickstart",),
    "bertsmith.jobs.search": ("search",),
    "bertsmith.text.corpus": ("Corpus",),
    "bertsmith.text.corpus_building": ("build_corpus",),
    "bertsmith.text.sources": ("read_documents", "read_texts"),
    "bertsmith.text.tokenizer": ("Tokenizer",),
    "bertsmith.text.tokenizer_training": ("train_tokenizer",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - in the order of the journey
    "read_documents",
    "read_texts",
    "Tokenizer",
    "train_tokenizer",
    "Corpus",
    "build_corpus",
    "load_config",
    "pretrain",
    "finetune",
    "glue",
    "predict_file",
    "evaluate_file",
    "fill",
    "embed",
    "embed_file",
    "search",
    "similarity",
    "attention_maps",
    "load_encoder",
    "load_masked_lm",
    "load_classifier",
    "load_tokenizer",
    "save_model",
    "quickstart",
    "BertsmithError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bertsmith' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
