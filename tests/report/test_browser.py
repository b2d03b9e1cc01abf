"""The page in a real browser: it renders, asks for nothing, and the matrix answers."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bertsmith.report.page import render

from .test_page import every_section

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), "")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update --disable-dev-shm-usage
""".split()  # noqa: SIM905

PROBE = """<script>
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
</script>"""


class Server(ThreadingHTTPServer):
    """Serves one page under /page.html, for every host name, and notes what is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.page = b""
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.headers['Host']}{self.path}")
        found = self.path == "/page.html"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.page if found else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def shown(page: str, server: Server, profile: Path, *flags: str) -> str:
    """The title that the probe leaves in the page."""
    server.page = page.replace("</body>", f"{PROBE}</body>").encode()
    hosts = f"--host-resolver-rules=MAP * 127.0.0.1:{server.server_port}"
    command = [CHROMIUM, *FLAGS, *flags, hosts, f"--user-data-dir={profile}", "--dump-dom"]
    dom = subprocess.run(
        [*command, "http://report.test/page.html"],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    found = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert found is not None
    return re.sub(r" +", " ", found.group(1))


def test_the_page_renders_alone_and_the_matrix_answers(server: Server, tmp_path: Path) -> None:
    title = shown(render("t", "s", every_section()), server, tmp_path, "--window-size=500,900")
    assert r'"hover":"0.25\n1 the default one\n2 two"' in title
    assert r'"keyboard":"1.00\n2 two\n2 two"' in title
    assert '"sideways":0' in title
    assert '"figure":true' in title
    assert '"paper":"rgb(255, 255, 255)"' in title
    assert [asked for asked in server.asked if ".test/" in asked] == ["report.test/page.html"]


def test_dark_mode_and_what_the_policy_forbids(server: Server, tmp_path: Path) -> None:
    images = '<main><img src="near.png" alt=""><img src="http://far.test/far.png" alt="">'
    page = render("t", "s", every_section()).replace("<main>", images)
    title = shown(page, server, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert '"paper":"rgb(21, 25, 30)"' in title
    assert [asked for asked in server.asked if ".test/" in asked] == ["report.test/page.html"]
    shown(re.sub(r"<meta http-equiv[^>]*>", "", page), server, tmp_path)
    assert {"report.test/near.png", "far.test/far.png"} <= set(server.asked)
