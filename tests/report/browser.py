"""A real browser without a window, and the server of one page.

Tests that use it are marked with NEEDS_BROWSER.
"""

from __future__ import annotations

import re
import shutil
import subprocess
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


def shown(page: str, probe: str, server: Server, profile: Path, *flags: str) -> str:
    """The title that the script `probe` leaves in the page."""
    server.page = page.replace("</body>", f"<script>{probe}</script></body>").encode()
    hosts = f"--host-resolver-rules=MAP * 127.0.0.1:{server.server_port}"
    command = [CHROMIUM, *FLAGS, *flags, hosts, f"--user-data-dir={profile}", "--dump-dom"]
    dom = subprocess.run(
        [*command, "http://report.test/page.html"],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    found = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert found is not None
    return re.sub(r" +", " ", unescape(found.group(1)))
