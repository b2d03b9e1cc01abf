"""A figure as SVG or PNG: in a file, or inlined in a page.

An inlined SVG takes its colours from the page (`var(--ink)` and so on, see style.COLOURS)
and its ids are made unique, since one page holds many figures.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from bertsmith.files import write_atomically
from bertsmith.report.style import COLOURS, PAPER, styled

PNG_DPI = 192  # twice the 96 of CSS
LARGEST_INLINE_SVG = 200_000  # characters; a denser figure is inlined as PNG


def svg_text(figure: Figure, *, facecolor: str = PAPER) -> str:
    """The figure as an SVG document; the same figure gives the same text."""
    stream = io.StringIO()
    with _drawing():
        figure.savefig(stream, format="svg", facecolor=facecolor, metadata={"Date": None})
    return stream.getvalue()


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG at twice the resolution of the page, on white."""
    stream = io.BytesIO()
    with _drawing():
        figure.savefig(stream, format="png", dpi=PNG_DPI, facecolor=PAPER)
    return stream.getvalue()


def save(figure: Figure, path_without_suffix: Path) -> tuple[Path, Path]:
    """Write PATH.png and PATH.svg, each whole or not at all. Returns both paths."""
    path_without_suffix.parent.mkdir(parents=True, exist_ok=True)
    png = path_without_suffix.with_name(path_without_suffix.name + ".png")
    svg = path_without_suffix.with_name(path_without_suffix.name + ".svg")
    write_atomically(png, png_bytes(figure))
    write_atomically(svg, svg_text(figure).encode())
    return png, svg


def save_or_remove(figure: Figure | None, path_without_suffix: Path) -> None:
    """`save`, or, of what is not there to be shown, remove what an earlier one has left."""
    if figure is not None:
        save(figure, path_without_suffix)
        return
    for suffix in (".png", ".svg"):
        path_without_suffix.with_name(path_without_suffix.name + suffix).unlink(missing_ok=True)


def inline_html(figure: Figure, alt: str, prefix: str) -> str:
    """The figure as an element for a page: <svg>, or <img> with a PNG where that is too big, or has
    an image in it, whose colours would not follow the page's.

    `prefix` must be unique in the page; `alt` says in words what the figure shows.
    """
    svg = svg_text(figure, facecolor="none")
    if len(svg) > LARGEST_INLINE_SVG or "<image" in svg:
        data = base64.b64encode(png_bytes(figure)).decode()
        return f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}">'
    return _for_page(svg, alt, prefix)


def _for_page(svg: str, alt: str, prefix: str) -> str:
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font: bold ([\d.]+px) [^;\"]*", r"font-weight: 600; font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*(; )?", "", svg)
    for name, (light, _) in COLOURS.items():
        svg = re.sub(rf"((?:fill|stroke): ){light}\b", rf"\1var(--{name})", svg)
    svg = re.sub(r'^<svg([^>]*?) width="[\d.]+pt"', r"<svg\1", svg)
    svg = re.sub(r'^<svg([^>]*?) height="[\d.]+pt"', r"<svg\1", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)


@contextmanager
def _drawing() -> Iterator[None]:
    """The look; and no complaint about scripts that the drawing font lacks.

    In a page the text is set in the reader's fonts, which have them.
    """
    with styled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        yield
