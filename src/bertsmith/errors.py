"""What can go wrong, said in one line: what, where, and how to mend it.

    BertsmithError
    ├── ConfigError       a run config, a flag or a combination of them
    ├── DataError         an input file: text, table, sentence list
    ├── TokenizerError    a tokenizer folder, or a vocabulary that cannot be built
    ├── CorpusError       a corpus folder: damaged, empty, made by another tokenizer
    ├── ModelError        a model folder: missing, cut, hostile, or of the wrong kind
    ├── CheckpointError   no checkpoint that can be trusted
    └── TrainingError     a run that cannot go on
        └── engine.train.DivergenceError    NaN, explosion: the step, the examples

A disk that is full or refuses stays an OSError; the command tells it in one line too. Every
other exception that reaches a user is a bug of ours.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path


class BertsmithError(Exception):
    """Base of every error that a user can mend.

    `where` is a path, `path:line` or a config key; `mend` is an imperative phrase.
    `str(error)` is always a single line.
    """

    def __init__(self, what: str, *, where: str | Path = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, str(where), mend
        line = f"{self.where}: {what}" if self.where else what
        if mend:
            line = f"{line}; {mend}"
        super().__init__(" ".join(line.split()))

    def __reduce__(self) -> tuple[object, ...]:
        """Its parts, for another process: pickle would give the line alone."""
        return partial(type(self), where=self.where, mend=self.mend), (self.what,)


class ConfigError(BertsmithError):
    """A run config, a flag, or a combination of them, that makes no sense."""


class DataError(BertsmithError):
    """An input file that cannot be read as what it should be."""


class TokenizerError(BertsmithError):
    """A tokenizer folder that cannot be used, or a vocabulary that cannot be built."""


class CorpusError(BertsmithError):
    """A corpus folder that is damaged, empty, or made by another tokenizer."""


class ModelError(BertsmithError):
    """A model folder that is missing, cut, hostile, or of the wrong kind."""


class CheckpointError(BertsmithError):
    """No checkpoint that can be trusted."""


class TrainingError(BertsmithError):
    """A training run that cannot go on."""
