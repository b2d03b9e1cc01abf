"""The page of the analyses in a real browser: what is pointed at, chosen or slid answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertsmith.analysis.attention import MEASURES
from bertsmith.report.analyses import write_analysis
from browser import NEEDS_BROWSER, Server, shown

pytestmark = NEEDS_BROWSER

PROBE = """
const answers = {};
const told = (part) => part.querySelector(".readout").innerText;
const point = (element, kind) => element.dispatchEvent(new MouseEvent(kind, { bubbles: true }));
const press = (element, key) =>
  element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));

const matrix = document.querySelector(".matrix");
point(matrix.querySelector('td[data-row="0"][data-column="1"]'), "mouseover");
answers.matrix = told(matrix);

const heads = document.querySelector(".attention");
const cell = (row, column) =>
  heads.querySelector(`td[data-row="${row}"][data-column="${column}"]`);
const seen = () => [...heads.querySelectorAll("line")]
  .filter((path) => path.style.visibility !== "hidden").length;
answers.first = [told(heads), seen()];
point(cell(1, 1), "mouseover");
answers.pointed = [told(heads), seen()];
cell(0, 0).focus();
press(cell(0, 0), "ArrowDown");
answers.chosen = [told(heads).split("\\n")[0], seen()];
point(heads.querySelector("text[data-side='from'][data-token='1']"), "mouseover");
answers.token = [told(heads), seen(),
  [...heads.querySelectorAll("text[data-side='to']")].map((text) => text.textContent)];
point(heads.querySelector("svg"), "mouseover");
answers.left = seen();
const select = heads.querySelector("select");
select.value = "to the next token";
select.dispatchEvent(new Event("change"));
answers.shaded = [...heads.querySelectorAll("td")].map((td) => td.textContent);
answers.options = select.options.length;

const points = document.querySelector(".points");
const dots = [...points.querySelectorAll("circle")];
point(dots[2], "mouseover");
answers.dot = told(points);
const slider = points.querySelector("input");
const before = dots[0].getAttribute("cx");
slider.value = 0;
slider.dispatchEvent(new Event("input"));
answers.slid = [points.querySelector("output").textContent, before !== dots[0].getAttribute("cx")];
points.querySelector(".legend span").dispatchEvent(new MouseEvent("mouseenter"));
answers.faint = dots.map((dot) => dot.classList.contains("faint"));

answers.sideways = document.documentElement.scrollWidth - document.documentElement.clientWidth;
answers.headings = [...document.querySelectorAll("nav a")].map((a) => a.textContent);
document.title = JSON.stringify(answers);
"""

MAPS = np.array(
    [
        [np.eye(3), np.full((3, 3), 1 / 3)],
        [[[0, 1, 0], [0, 0.25, 0.75], [1, 0, 0]], [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]]],
    ]
)


def attention() -> dict[str, Any]:
    values = np.arange(4.0).reshape(2, 2)
    each = {"errors": np.full((2, 2), 0.01).tolist(), "uniform": 0.3}
    measures = {name: {"means": (values + k).tolist(), **each} for k, name in enumerate(MEASURES)}
    measures["same"]["means"] = [[None, None], [None, None]]
    shown = {"sentence": "a <b>", "tokens": ["[CLS]", "a", "<b>"], "values": MAPS.tolist()}
    rates = {"hits": [[0.5, 1.0], [0.0, 0.5]], "attention": values.tolist(), "chance": 0.5}
    best = {"head": "1-2", "chosen_by": 1.0, "share": 0.9, "low": 0.7, "high": 1.0}
    rows = [{"sentence": "a <b>", "from": "a", "to": "b", "rival": ""}] * 2
    pairs = {"source": "pairs.tsv", "count": 2, **rates, "best": best, "rows": rows}
    told = {"model": "m", "layers": [1, 2], "heads": [1, 2], "sentences": 2, "source": "s.txt"}
    return {**told, "measures": measures, "maps": [shown], "pairs": pairs}


def layers() -> dict[str, Any]:
    names = ("accuracy", "low", "high", "macro_f1", "control", "selectivity")
    score = {**dict.fromkeys(names, 0.5), "selectivity_low": 0.1, "selectivity_high": 0.2}
    task = {"task": "part of speech", "split": "a and b", "classes": ["A", "B"], "train": 20}
    points = [{"word": w, "tag": t, "in": "x y z"} for w, t in (("x", "A"), ("y", "A"), ("z", "B"))]
    places = [[[0, 0], [1, 2], [3, 1]], [[1, 0], [0, 0], [3, 1]]]
    plane = {"task": "part of speech", "points": points, "places": places}
    return {
        "model": "m",
        "draws": 2,
        "tasks": [{**task, "test": 10, "majority": 0.4, "layers": [score, score]}],
        "plane": {**plane, "shares": [[0.4, 0.2], [0.2, 0.1]]},
        "mix": {"tagger": "t", "labels": 3, "weights": [0.25, 0.75], "gamma": 1.5},
    }


def similarity() -> dict[str, Any]:
    scores = {"within": 0.8, "between": 0.5, "silhouette": 0.3, "p_value": 0.01}
    word = {
        "word": "bat",
        "sentences": ["one bat", "two bats"],
        "matrix": [[1.0, 0.25], [0.25, 1.0]],
        "mean": 0.25,
        "static_mean": 0.9,
    }
    tested = {"senses": ["a", "b"], "separation": scores, "baseline": scores}
    return {"model": "m", "layers": "last", "words": [{**word, **tested}]}


def fill() -> dict[str, Any]:
    text = {"text": "a [MASK]", "gaps": [[["dog", 0.5], ["cat", 0.25]]]}
    return {"model": "m", "texts": [text], "sentences": [], "perplexity": None, "pairs": None}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """With all instruments on it."""
    out = tmp_path_factory.mktemp("page") / "out"
    for name, data in (
        ("similarity", similarity()),
        ("attention", attention()),
        ("layers", layers()),
        ("fill", fill()),
    ):
        path = write_analysis(out, name, data, ("a",), [["b"]])
    return path.read_text("utf-8")


def test_every_instrument_answers(page: str, server: Server, tmp_path: Path) -> None:
    answers = json.loads(shown(page, PROBE, server, tmp_path / "browser", "--window-size=500,900"))
    assert answers["headings"] == [
        "One word in many sentences",
        "Where heads look",
        "What each layer knows",
        "What it expects",
    ]
    assert answers["matrix"] == "0.25\n1 a: one bat\n2 b: two bats"
    assert answers["first"][0].startswith("layer 1, head 1\nentropy (nats) 0.00")
    assert answers["first"][1] == 3
    assert answers["pointed"][0].startswith("layer 2, head 2\nentropy (nats) 3.00")
    assert answers["pointed"][1] == 3  # the map is still that of the head chosen
    assert answers["chosen"] == ["layer 2, head 1", 4]
    assert answers["token"][0] == "layer 2, head 1\na → <b>: 75 %"
    assert answers["token"][1:] == [2, ["[CLS]", "a 25 %", "<b> 75 %"]]
    assert answers["left"] == 4
    assert answers["shaded"] == ["6.00", "7.00", "8.00", "9.00"]
    assert answers["options"] == len(MEASURES)
    assert answers["dot"] == "z · B · x y z"
    assert answers["slid"] == ["0: 60.0 % of variance", True]
    assert answers["faint"] == [False, False, True]
    assert answers["sideways"] == 0
    assert [asked for asked in server.asked if ".test/" in asked] == ["report.test/page.html"]


def test_in_the_dark_the_figures_follow(page: str, server: Server, tmp_path: Path) -> None:
    probe = """
    const colour = (name, key) => getComputedStyle(document.querySelector(name))[key];
    const all = [colour(".lines line", "stroke"), colour(".points circle", "fill")];
    document.title = JSON.stringify(all);
    """
    dark = "--blink-settings=preferredColorScheme=0"
    answers = json.loads(shown(page, probe, server, tmp_path / "browser", dark))
    assert answers == ["rgb(124, 192, 245)", "rgb(98, 179, 242)"]
