"""Ten sentences around one word that means more than one thing."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import islice

from bertsmith.text.clean import clean_document
from bertsmith.text.sources import Document

AMBIGUOUS = ("kernel", "axis", "default", "bank", "spring", "light", "current", "right")
"""Tried in this order; in technical prose a kernel is of a matrix, a GPU or a smoother."""
CONTEXTS = 10
SHORTEST, LONGEST = 6, 30
"""Words of a sentence."""
FARTHEST = 20
"""The word stands among the first so many, well inside what the model reads."""
DOCUMENTS_READ = 20_000


def find_contexts(
    documents: Iterable[Document], occurs: Callable[[str, str], bool]
) -> tuple[str, list[str]] | None:
    """The first ambiguous word with enough sentences, one a document, spread over the text.

    Where the text has none of them: the commonest long word that has. `occurs(word,
    sentence)` says whether the model would see the word there.
    """
    found: dict[str, list[str]] = defaultdict(list)
    commonest: Counter[str] = Counter()
    for document in islice(documents, DOCUMENTS_READ):
        taken: set[str] = set()
        for sentence in clean_document(document.text)[0]:
            words = re.findall(r"[^\W\d_]+", sentence.lower())
            if not SHORTEST <= len(words) <= LONGEST:
                continue
            for word in set(words[:FARTHEST]) - taken:
                if word in AMBIGUOUS or len(word) > 6:
                    taken.add(word)
                    commonest[word] += 1
                    found[word].append(sentence)
    candidates = [*AMBIGUOUS, *(word for word, _ in commonest.most_common(1))]
    for word in candidates:
        sentences = [each for each in dict.fromkeys(found.get(word, ())) if occurs(word, each)]
        if len(sentences) >= CONTEXTS:
            step = len(sentences) // CONTEXTS
            return word, sentences[: step * CONTEXTS : step]
    return None
