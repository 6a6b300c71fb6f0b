"""A case system that says what it is told to say, over HTTP on loopback."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import threading
from typing import Any


class CaseSystem:
    """`answers` has what it says of each case: a status code and JSON; what it does not know is 404. `asked` are the cases it was
    asked about, each with the token."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api"

    def start(self) -> None:
        """Answers, on the port that it had before."""
        system = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                case_id = self.path.rpartition("/")[2]
                system.asked.append((case_id, self.headers.get("Authorization", "")))
                status, told = system.answers.get(case_id, (404, {}))
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
