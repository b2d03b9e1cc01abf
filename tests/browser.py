"""A real browser without a window, and the server of one page.

Tests of what a page does are marked with NEEDS_BROWSER.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), "")
NEEDS_BROWSER = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update --disable-dev-shm-usage
""".split()  # noqa: SIM905


FOCUS = """
{
  // A busy machine gives a window its focus late, and until then focus() tells nobody.
  const focus = HTMLElement.prototype.focus;
  HTMLElement.prototype.focus = function () {
    focus.call(this);
    if (!document.hasFocus()) this.dispatchEvent(new FocusEvent("focusin", { bubbles: true }));
  };
}
"""


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


@contextmanager
def serving() -> Iterator[Server]:
    """The server, for as long as it is wanted."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def shown(page: str, probe: str, server: Server, profile: Path, *flags: str) -> str:
    """The title that the script `probe` leaves in the page."""
    server.page = page.replace("</body>", f"<script>{FOCUS}{probe}</script></body>").encode()
    hosts = f"--host-resolver-rules=MAP * 127.0.0.1:{server.server_port}"
    command = [CHROMIUM, *FLAGS, *flags, hosts, f"--user-data-dir={profile}", "--dump-dom"]
    dom = subprocess.run(
        [*command, "http://report.test/page.html"],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    found = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert found is not None
    return re.sub(r" +", " ", unescape(found.group(1)))


WATCH = "<script>const failures = []; addEventListener('error', (e) => failures.push(e.message));"
LOOK = """
const drawn = [...document.querySelectorAll("figure svg")];
document.title = JSON.stringify({
  failures,
  sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  figures: drawn.length,
  blank: drawn.filter((svg) => svg.getBoundingClientRect().height < 50).length,
});
"""


def check_page(path: Path, profile: Path) -> None:
    """That a report with figures opens alone and fits a narrow window; nothing without a browser.

    For tests of what made the page.
    """
    if not CHROMIUM:
        return
    page = path.read_text("utf-8").replace("<head>", f"<head>{WATCH}</script>", 1)
    with serving() as server:
        found = json.loads(shown(page, LOOK, server, profile, "--window-size=500,900"))
        asked = [name for name in server.asked if ".test/" in name]
    assert found.pop("figures") > 0
    assert found == {"failures": [], "sideways": 0, "blank": 0}
    assert asked == ["report.test/page.html"]
