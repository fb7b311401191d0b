"""A web service on loopback that notes what it is asked: where notifications and heartbeats go in tests."""

from __future__ import annotations

import http.server
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.cli import WAIT_S

SECRET = "T0K3N-hush-hush"
"""Stands in the path of every URL that tests configure; it may turn up nowhere."""


@dataclass
class Hook:
    """What came: `next` waits for one more request, as its method, path and body."""

    port: int = 0
    status: int = 200
    location: str = ""
    came: queue.SimpleQueue[tuple[str, str, dict[str, Any]]] = field(default_factory=queue.SimpleQueue)

    @property
    def notify(self) -> str:
        """Its address for notifications."""
        return f"json://127.0.0.1:{self.port}/{SECRET}"

    @property
    def alive(self) -> str:
        """Its address for heartbeats."""
        return f"http://127.0.0.1:{self.port}/{SECRET}"

    def next(self) -> tuple[str, str, dict[str, Any]]:
        """The next request, which must come."""
        method, path, body = self.came.get(timeout=WAIT_S)
        return method, path.replace(SECRET, "SECRET"), body

    def rest(self) -> list[tuple[str, str, dict[str, Any]]]:
        """All that came and was not asked for yet."""
        found = []
        while not self.came.empty():
            found.append(self.next())
        return found

    def titles(self) -> list[str]:
        """The titles of the notifications among them."""
        return [body["title"] for _, _, body in self.rest()]


@contextmanager
def hook_server() -> Iterator[Hook]:
    """Serve one for the length of the block."""
    hook = Hook()

    class Answers(http.server.BaseHTTPRequestHandler):
        def _note(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            hook.came.put((self.command, self.path, json.loads(body) if body else {}))
            self.send_response(hook.status)
            if hook.location:
                self.send_header("Location", hook.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = _note  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    hook.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
