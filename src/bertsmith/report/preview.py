"""What a model will see: corrupted samples with their originals, and rates over many of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertsmith.report.page import Heading, KeyValues, Passage, Section, Text, Token, write_report


@dataclass(frozen=True)
class Preview:
    """Samples of what a run's model will see, and `rates` measured over more of them."""

    recipe: str
    mask_token: str
    rates: Mapping[str, str]
    passages: Sequence[Passage]

    @property
    def legend(self) -> Sequence[Passage]:
        """One word of each fate, where any token of the samples is to be predicted in its place."""
        tokens = (token for passage in self.passages for line in passage.lines for token in line)
        if not any(token.original for token in tokens):
            return ()
        line = (
            Token(self.mask_token, "masked", "masked"),
            Token("another", "random", "random"),
            Token("kept", "kept", "kept"),
            Token("not chosen"),
        )
        return (Passage("to be predicted are the first three of:", (line,)),)


def write_preview(path: Path, preview: Preview) -> Path:
    """Write the page to `path`, whole or not at all. Returns `path`."""
    sections: list[Section] = [
        KeyValues(preview.rates),
        *preview.legend,
        Heading("Samples"),
        *preview.passages,
    ]
    if preview.legend:
        sections.insert(3, Text("Above each chosen token stands what the model is to say there."))
    title = f"What {preview.recipe} will see"
    return write_report(path, title, "Samples of the corpus as training will show them.", sections)
