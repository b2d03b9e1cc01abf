"""Samples of what a model will see on the terminal: in colours there, in words elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from bertsmith.report.page import Passage, Token
    from bertsmith.report.preview import Preview

STYLES = {
    "special": "dim cyan",
    "masked": "black on yellow",
    "random": "white on red",
    "kept": "black on green",
}


def print_preview(preview: Preview) -> None:
    """Rates, a legend and the samples, on stdout."""
    console = Console(markup=False, highlight=False)
    coloured = console.is_terminal and not console.no_color and console.color_system is not None
    for name, value in preview.rates.items():
        console.print(f"{name:<16} {value}", soft_wrap=True)
    for passage in (*preview.legend, *preview.passages):
        console.print()
        for text in _lines(passage, coloured):
            console.print(text, soft_wrap=not console.is_terminal)


def _lines(passage: Passage, coloured: bool) -> list[Text]:
    lines = [Text(passage.caption, style="bold" if coloured else "")]
    for tokens in passage.lines:
        line = Text()
        for place, token in enumerate(tokens):
            line.append(" " if token.starts_word and place else "")
            line.append_text(_in_colour(token) if coloured else Text(_in_words(token)))
        lines.append(line)
    return lines


def _in_colour(token: Token) -> Text:
    """A masked or kept token shows what it was; a random one what it is, and what it was."""
    if token.fate == "random":
        return Text.assemble((token.text, STYLES["random"]), (f"({token.original})", "dim"))
    return Text(token.original or token.text, style=STYLES.get(token.fate, ""))


def _in_words(token: Token) -> str:
    match token.fate:
        case "masked" | "random":
            return f"[{token.text.strip('[]')} for {token.original}]"
        case "kept":
            return f"[{token.text} kept]"
        case _:
            return token.text
