"""What a tagger says of a sentence."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bertsmith.tasks.base import Prediction
from bertsmith.tasks.schemes import Span
from bertsmith.tasks.sentences import Sentence
from bertsmith.types import FloatArray


@dataclass(frozen=True)
class TaggedSentence(Prediction):
    """A sentence, its words' tags, and the probability of each tag."""

    sentence: Sentence
    tags: tuple[str, ...]
    probabilities: FloatArray  # (words,)
    spans: tuple[Span, ...]
    """Those that the tags spell; a span a word where tags are plain."""
    truncated: bool

    @property
    def line(self) -> int:  # type: ignore[override]
        """Where in its file the sentence begins."""
        return self.sentence.line

    def to_json(self) -> str:
        """One line: text, and spans with start, end (in characters), label, text and score."""
        text, offsets = self.sentence.text, self.sentence.offsets
        spans = []
        for begin, end, label in self.spans:
            start, stop = offsets[begin][0], offsets[end - 1][1]
            spans.append(
                {
                    "start": start,
                    "end": stop,
                    "label": label,
                    "text": text[start:stop],
                    "score": round(float(self.probabilities[begin:end].mean()), 6),
                }
            )
        return json.dumps({"text": text, "spans": spans}, ensure_ascii=False)
