"""A corpus in, lists of its phrases and entities out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bertsmith.errors import ConfigError
from bertsmith.files import require_place
from bertsmith.jobs.progress import Bar
from bertsmith.text.corpus import Corpus
from bertsmith.text.phrases import Phrase, find_phrases, write_phrases


@dataclass(frozen=True)
class PhraseLists:
    """What was written."""

    phrases: list[Phrase]  # the best one first
    entities: list[Phrase]
    min_count: int  # in effect


def list_phrases(
    corpus: str | Path,
    out: str | Path,
    entities: str | Path | None = None,
    *,
    min_count: int,
    longest: int,
    cohesion: float,
    freedom: float,
    burst: float,
) -> PhraseLists:
    """Write the phrases of `corpus` to `out`, and to `entities` those of `burst` bits or more.

    See `find_phrases`. Raises ConfigError, before anything is read, for a file that cannot be
    written; CorpusError.
    """
    for path in (Path(out), Path(entities or out)):
        require_place(path, ConfigError)
    if entities is not None and Path(entities).resolve() == Path(out).resolve():
        raise ConfigError("two lists in one file", where=entities, mend="name another for one")
    opened = Corpus.open(corpus)
    with Bar("finding phrases", 1.0) as bar:
        found = find_phrases(
            opened,
            min_count=min_count,
            longest=longest,
            cohesion=cohesion,
            freedom=freedom,
            progress=lambda done, total: bar.update(done / total),
        )
    write_phrases(out, found.phrases)
    crowded = [phrase for phrase in found.phrases if phrase.burst >= burst]
    if entities is not None:
        write_phrases(entities, crowded)
    return PhraseLists(list(found.phrases), crowded, found.min_count)
