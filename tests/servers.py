"""Servers of this machine that tests read videos from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *message: object) -> None:
        pass


@contextmanager
def _serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def serving_files(folder: Path):
    """Serve the files of a folder; yields the URL of the folder."""
    return _serving(partial(_Files, directory=str(folder)))


def serving_live(send: Callable[[BinaryIO], None]):
    """Serve an endless stream, which ``send`` writes for each client; yields its URL."""

    class Live(_Files):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            send(self.wfile)  # type: ignore[arg-type]

    return _serving(Live)
