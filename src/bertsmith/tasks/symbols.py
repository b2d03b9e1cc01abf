"""Classes of sequences that are no language: DNA, proteins, music (Kao & Lee 2021).

What tells them apart from `classify` is how they are read (`bertsmith.text.symbols`): each symbol
stands for a random word of the model's vocabulary, or has a new embedding. And since sets of
sequences come with many of them twice, each is taken once, whether a dev set is given or held out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_args

from bertsmith.errors import ConfigError, DataError
from bertsmith.nn.models import HeadedEncoder
from bertsmith.tasks import classify
from bertsmith.tasks.base import Encoded, Setting
from bertsmith.tasks.parting import held_out, part
from bertsmith.tasks.sequences import SequenceTask
from bertsmith.tasks.tables import Labelled, TextRow
from bertsmith.text.symbols import Alphabet, count_symbols, symbol_tokenizer, symbols_of
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import FloatArray

ENDS = 4
"""Room for the tokens that a model puts around a sequence."""
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class SymbolTask(SequenceTask):
    """`classify`, with symbols for words.

    `settings`: alphabet, new_embeddings, mapping_seed, split_seed.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    """How often each symbol occurs in the training rows."""
    meanings: Mapping[str, str] = field(default_factory=dict)
    """The word that each stands for; "" where it has an embedding of its own."""

    @property
    def alphabet(self) -> Alphabet:
        """What a symbol is. Raises ConfigError."""
        chosen = self.settings["alphabet"]
        known: tuple[Alphabet, ...] = get_args(Alphabet)
        for alphabet in known:
            if alphabet == chosen:
                return alphabet
        raise ConfigError(
            f"no alphabet {chosen!r}", where="alphabet", mend=f"there are {', '.join(known)}"
        )

    def parted(
        self, train: Labelled[TextRow], dev: Labelled[TextRow] | None
    ) -> tuple[Labelled[TextRow], Labelled[TextRow]]:
        """Without what is there twice, and with a dev set. See Task.

        Of equal sequences the first is kept, and none where their labels differ. Where `dev` is
        None, or is the training file itself, a part of each class is held out, drawn by
        `split_seed` (`bertsmith.tasks.parting`). Otherwise what `dev` has too is taken out of the
        training rows.
        """
        rows, notes = self._distinct(train)
        if dev is None or dev.path == train.path:
            keys = [self._key(row) for row in rows]
            seed = self.settings["split_seed"]
            assert isinstance(seed, int)
            places = held_out(self.items(rows), keys, seed=seed)
            notes.append(f"{len(places):,} of {len(rows):,} are held out, by seed {seed}")
            train, dev = part(replace(train, rows=rows), places)
        else:
            scored, further = self._distinct(dev)
            notes += further
            known_keys = {self._key(row) for row in scored}
            kept = [row for row in rows if self._key(row) not in known_keys]
            if len(kept) < len(rows):
                notes.append(
                    f"{len(rows) - len(kept):,} of {train.path} are in {dev.path} too, and not "
                    "learnt from"
                )
            train, dev = replace(train, rows=kept), replace(dev, rows=scored)
        known = count_symbols((row.text for row in train.rows), self.alphabet)
        there = count_symbols((row.text for row in dev.rows), self.alphabet)
        unknown = {symbol: count for symbol, count in there.items() if symbol not in known}
        if unknown:
            notes.append(
                f"{sum(unknown.values()):,} symbols of the dev set are unknown to the training "
                f"set: {', '.join(map(repr, sorted(unknown)[:_MOST_NAMED]))}"
            )
        return replace(train, notes=(*train.notes, *notes)), dev

    def _key(self, row: TextRow) -> str:
        """The same for equal sequences."""
        return " ".join(symbols_of(row.text, self.alphabet))

    def _distinct(self, table: Labelled[TextRow]) -> tuple[list[TextRow], list[str]]:
        """Each sequence once, and notes on the others. Raises DataError for a pair."""
        if table.columns.pair is not None:
            raise DataError(
                f"a second text, {table.columns.pair!r}, in a row",
                where=table.path,
                mend="name the one column of the sequences with --text-column",
            )
        labels: dict[str, set[str]] = {}
        firsts: dict[str, TextRow] = {}
        for row in table.rows:
            key = self._key(row)
            labels.setdefault(key, set()).add(row.label)
            firsts.setdefault(key, row)
        rows = [row for key, row in firsts.items() if len(labels[key]) == 1]
        notes = []
        if len(firsts) < len(table.rows):
            notes.append(
                f"{len(table.rows) - len(firsts):,} of {len(table.rows):,} in {table.path} are "
                "there before, and left out"
            )
        if len(rows) < len(firsts):
            lines = [row.line for key, row in firsts.items() if len(labels[key]) > 1]
            shown = ", ".join(map(str, lines[:_MOST_NAMED]))
            more = " ..." if len(lines) > _MOST_NAMED else ""
            notes.append(
                f"{len(lines):,} have different labels in different lines, and are left out: "
                f"those of line {shown}{more}"
            )
        return rows, notes

    def suited(self, train: Labelled[TextRow]) -> SymbolTask:
        """With the symbols there are, and as long as the longest sequence. Raises ConfigError."""
        counts = count_symbols((row.text for row in train.rows), self.alphabet)
        longest = max((len(symbols_of(row.text, self.alphabet)) for row in train.rows), default=0)
        return replace(self, counts=counts, usual={**self.usual, "max_length": longest + ENDS})

    def reading(self, own: Tokenizer) -> tuple[SymbolTask, Tokenizer]:
        """With what each symbol stands for, and the tokenizer of them. See Task."""
        seed = self.settings["mapping_seed"]
        assert isinstance(seed, int)
        tokenizer, meanings = symbol_tokenizer(
            own,
            self.counts,
            self.alphabet,
            new=bool(self.settings["new_embeddings"]),
            seed=seed,
        )
        return replace(self, meanings=meanings), tokenizer

    def described(self, train: Labelled[TextRow], names: Sequence[str]) -> str:
        """See Task."""
        what = f"{super().described(train, names)}; {len(self.counts):,} symbols"
        if self.settings["new_embeddings"]:
            return f"{what}, each with a new embedding"
        return f"{what}, each for a word drawn by seed {self.settings['mapping_seed']}"

    def files(
        self, model: HeadedEncoder, data: Encoded, outputs: FloatArray, names: Sequence[str]
    ) -> Mapping[str, str]:
        """errors.tsv; symbols.tsv: how often each occurs, and what it stands for."""
        ordered = sorted(self.meanings.items(), key=lambda pair: (-self.counts[pair[0]], pair))
        lines = [f"{symbol}\t{self.counts[symbol]}\t{word}" for symbol, word in ordered]
        table = "\n".join(["symbol\tcount\tstands for", *lines]) + "\n"
        return {**super().files(model, data, outputs, names), "symbols.tsv": table}


def symbols(
    *,
    alphabet: str = "letters",
    new_embeddings: bool = False,
    mapping_seed: int = 0,
    split_seed: int = 0,
) -> SymbolTask:
    """The task with what is chosen of it. Raises ConfigError."""
    if mapping_seed < 0:
        raise ConfigError(f"{mapping_seed} draws nothing", where="mapping seed", mend="0 or more")
    settings: dict[str, Setting] = {
        "alphabet": alphabet,
        "new_embeddings": new_embeddings,
        "mapping_seed": mapping_seed,
        "split_seed": split_seed,
    }
    task = replace(TASK, settings=settings)
    assert task.alphabet
    return task


def _of_classify() -> dict[str, Any]:
    """The slots that are the same."""
    own = ("name", "unit", "problem_type", "settings")
    slots = (each.name for each in fields(classify.TASK) if each.name not in own)
    return {name: getattr(classify.TASK, name) for name in slots}


TASK = SymbolTask(
    name="symbols",
    unit="sequences",
    settings={"alphabet": "letters", "new_embeddings": False, "mapping_seed": 0, "split_seed": 0},
    **_of_classify(),
)
