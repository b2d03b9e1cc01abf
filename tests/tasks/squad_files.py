"""Small files in SQuAD's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RIVER = "The Rhine flows from Switzerland to the North Sea. The Rhine is 1,230 km long."


def asked(
    number: str, question: str, *answers: tuple[str, int], impossible: bool | None = None
) -> dict[str, Any]:
    """A question as SQuAD has it."""
    own = {"id": number, "question": question}
    if impossible is not None:
        own["is_impossible"] = impossible  # type: ignore[assignment]
    return {**own, "answers": [{"text": text, "answer_start": start} for text, start in answers]}


def write_squad(path: Path, *paragraphs: tuple[str, list[dict[str, Any]]]) -> Path:
    """One article of paragraphs, each a context and its questions."""
    made = [{"context": context, "qas": qas} for context, qas in paragraphs]
    content = {"version": "1.1", "data": [{"title": "t", "paragraphs": made}]}
    path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    return path
