"""Tags of words and the spans that they spell, read as conlleval reads them.

    IOB1    I- inside a span; B- only where a span follows another of its type at once
    IOB2    B- on the first word of every span, I- on the others
    BIOES   B- first, I- inside, E- last, S- a span of one word
    plain   a tag a word, no spans: parts of speech

(Ramshaw & Marcus 1995; Tjong Kim Sang & Veenstra 1999.) conlleval is the scorer of the CoNLL
shared tasks 2000 to 2003. It takes any sequence of tags: a span ends where the type changes,
and I- without anything to be inside of begins one. It knows no S-; here E- and S- end a
span, and what follows one begins another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from bertsmith.errors import DataError
from bertsmith.tasks.sentences import Sentence
from bertsmith.types import BoolArray

Scheme = Literal["plain", "IOB1", "IOB2", "BIOES"]
IOB: tuple[Scheme, Scheme] = ("IOB1", "IOB2")
OUTSIDE = "O"
PREFIXES = "BIES"


class Span(NamedTuple):
    """Words `begin` to `end`, the last left out, and what they are."""

    begin: int
    end: int
    label: str


def split_tag(tag: str) -> tuple[str, str]:
    """Prefix and type: ("B", "PER") of B-PER, ("O", "") of O."""
    prefix, _, label = tag.partition("-")
    return prefix, label


def spells_spans(tag: str) -> bool:
    """Whether a tag is O or a prefix and a type."""
    prefix, label = split_tag(tag)
    return tag == OUTSIDE or (len(prefix) == 1 and prefix in PREFIXES and bool(label))


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The spans that `tags` spell, in order, whatever the scheme."""
    spans: list[Span] = []
    begin: int | None = None
    before, label_before = OUTSIDE, ""
    for place, tag in enumerate([*tags, OUTSIDE]):
        prefix, label = split_tag(tag)
        if prefix == OUTSIDE:
            breaks = True
        else:
            breaks = prefix in "BS" or before in ("O", "E", "S") or label != label_before
        if breaks:
            if begin is not None:
                spans.append(Span(begin, place, label_before))
            begin = None if prefix == OUTSIDE else place
        before, label_before = prefix, label
    return spans


def tags_of(spans: Iterable[Span], count: int, scheme: Scheme) -> list[str]:
    """`count` words' tags that spell `spans`, which do not overlap; IOB2 or BIOES."""
    tags = [OUTSIDE] * count
    for begin, end, label in spans:
        tags[begin:end] = [f"I-{label}"] * (end - begin)
        tags[begin] = f"B-{label}"
        if scheme == "BIOES":
            tags[end - 1] = f"{'S' if end - begin == 1 else 'E'}-{label}"
    return tags


def scheme_of(sentences: Sequence[Sentence], file: str) -> Scheme:
    """The scheme of all tags of a file.

    Raises DataError, with file and line, for a tag that is none beside others that spell spans,
    and for spans of BIOES that are not opened or closed.
    """
    scheme, strange = _kind(sentences)
    if scheme == "plain":
        return scheme
    for tag, line in _lines(sentences, strange):
        raise DataError(
            f"the tag {tag!r:.40} is neither O nor B-, I-, E- or S- with a type",
            where=f"{file}:{line}",
            mend="mend the tag, or name another column with --label-column",
        )
    for what, line in _bioes_breaks(sentences) if scheme == "BIOES" else ():
        raise DataError(
            f"tags of BIOES that do not fit: {what}",
            where=f"{file}:{line}",
            mend="close every B- with an E- of its type, and write S- on a span of one word",
        )
    return scheme if scheme == "BIOES" else _iob(sentences)


def broken_tags(sentences: Sequence[Sentence]) -> list[tuple[str, int]]:
    """All that `scheme_of` refuses the first of, and their lines."""
    scheme, strange = _kind(sentences)
    if scheme == "plain":
        return []
    return [
        *_lines(sentences, strange),
        *(_bioes_breaks(sentences) if scheme == "BIOES" and not strange else ()),
    ]


def _kind(sentences: Sequence[Sentence]) -> tuple[Scheme, set[str]]:
    """plain, BIOES or one of IOB, by the tags alone; and those that spell no spans."""
    kinds = {tag for sentence in sentences for tag in sentence.tags}
    spelling = {tag for tag in kinds if spells_spans(tag)}
    if not spelling - {OUTSIDE} or (OUTSIDE not in kinds and spelling != kinds):
        return "plain", set()
    is_bioes = any(tag[0] in "ES" for tag in spelling - {OUTSIDE})
    return "BIOES" if is_bioes else "IOB2", kinds - spelling


def scheme_by_names(names: Sequence[str]) -> Scheme:
    """What a model of these tags was trained on, where it does not say so."""
    if not any(tag != OUTSIDE and spells_spans(tag) for tag in names):
        return "plain"
    if not all(spells_spans(tag) for tag in names):
        return "plain"
    return "BIOES" if any(tag[0] in "ES" for tag in names) else "IOB2"


def _lines(sentences: Sequence[Sentence], tags: set[str]) -> Iterator[tuple[str, int]]:
    """Where one of `tags` stands."""
    return (
        (tag, line)
        for sentence in sentences
        for tag, line in zip(sentence.tags, sentence.lines, strict=True)
        if tag in tags
    )


def odd_tags(sentences: Sequence[Sentence], scheme: Scheme) -> list[tuple[str, int]]:
    """Those that begin a span otherwise than IOB1 or IOB2 does, and their lines.

    Their spans are clear all the same: see `spans_of`.
    """
    odd = []
    for sentence in sentences if scheme in ("IOB1", "IOB2") else ():
        for span in spans_of(sentence.tags):
            tag, at = sentence.tags[span.begin], span.begin
            follows = at > 0 and split_tag(sentence.tags[at - 1])[1] == span.label
            wanted = "B" if scheme == "IOB2" or follows else "I"
            if tag[0] != wanted:
                odd.append((tag, sentence.lines[at]))
    return odd


def _iob(sentences: Sequence[Sentence]) -> Scheme:
    """That of the two in which more spans begin as they should."""
    first, second = (len(odd_tags(sentences, scheme)) for scheme in IOB)
    return "IOB1" if first < second else "IOB2"


def _bioes_breaks(sentences: Sequence[Sentence]) -> Iterator[tuple[str, int]]:
    for sentence in sentences:
        for place, tag in enumerate(sentence.tags):
            before = sentence.tags[place - 1] if place else OUTSIDE
            if not may_follow(before, tag, "BIOES"):
                yield f"{tag:.40} after {before:.40}", sentence.lines[place]
        if not may_follow(sentence.tags[-1], OUTSIDE, "BIOES"):
            yield f"{sentence.tags[-1]:.40} at the end of a sentence", sentence.lines[-1]


def may_follow(before: str, tag: str, scheme: Scheme) -> bool:
    """Whether `tag` can stand after `before` in IOB2 or BIOES; O stands for a sentence's edge."""
    (old, old_label), (new, label) = split_tag(before), split_tag(tag)
    if scheme == "BIOES":
        is_open = old in "BI"
        continues = new in "IE"
        return is_open == continues and (not is_open or old_label == label)
    return new != "I" or (old != OUTSIDE and old_label == label)


def rules_of(names: Sequence[str], scheme: Scheme) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Which of K tags may begin a sentence (K,), follow another (K, K; row: before), end it."""
    rows = [[may_follow(before, tag, scheme) for tag in names] for before in names]
    start = [may_follow(OUTSIDE, tag, scheme) for tag in names]
    end = [may_follow(tag, OUTSIDE, scheme) for tag in names]
    return np.array(start), np.array(rows), np.array(end)
