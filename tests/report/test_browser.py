"""The page in a real browser: it renders, asks for nothing, and the matrix answers."""

from __future__ import annotations

import re
from pathlib import Path

from bertsmith.report.page import render
from browser import NEEDS_BROWSER, Server, shown

from .test_page import every_section

pytestmark = NEEDS_BROWSER
PROBE = """
const matrix = document.querySelector(".matrix");
const answers = {};
matrix.querySelector('td[data-row="0"][data-column="1"]')
  .dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
answers.hover = matrix.querySelector(".readout").innerText;
const first = matrix.querySelector("td[tabindex='0']");
first.focus();
first.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
answers.keyboard = matrix.querySelector(".readout").innerText;
answers.sideways = document.documentElement.scrollWidth - document.documentElement.clientWidth;
answers.paper = getComputedStyle(document.body).backgroundColor;
answers.figure = document.querySelector("figure svg").getBoundingClientRect().width > 300;
document.title = JSON.stringify(answers);
"""


def test_the_page_renders_alone_and_the_matrix_answers(server: Server, tmp_path: Path) -> None:
    title = shown(
        render("t", "s", every_section()), PROBE, server, tmp_path, "--window-size=500,900"
    )
    assert r'"hover":"0.25\n1 the default one\n2 two"' in title
    assert r'"keyboard":"1.00\n2 two\n2 two"' in title
    assert '"sideways":0' in title
    assert '"figure":true' in title
    assert '"paper":"rgb(255, 255, 255)"' in title
    assert [asked for asked in server.asked if ".test/" in asked] == ["report.test/page.html"]


def test_dark_mode_and_what_the_policy_forbids(server: Server, tmp_path: Path) -> None:
    images = '<main><img src="near.png" alt=""><img src="http://far.test/far.png" alt="">'
    page = render("t", "s", every_section()).replace("<main>", images)
    title = shown(page, PROBE, server, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert '"paper":"rgb(21, 25, 30)"' in title
    assert [asked for asked in server.asked if ".test/" in asked] == ["report.test/page.html"]
    shown(re.sub(r"<meta http-equiv[^>]*>", "", page), PROBE, server, tmp_path)
    assert {"report.test/near.png", "far.test/far.png"} <= set(server.asked)
