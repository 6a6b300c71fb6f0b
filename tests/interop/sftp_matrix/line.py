"""A line between a client and a gateway that counts bytes, and can be cut or held up."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

RESET = struct.pack("ii", 1, 0)
PIECE = 64 * 1024


class Line:
    """Forwards connections to a port on loopback. `cut_after`: bytes from the client, of all connections together, after which
    each one is reset, or closed in order where `gently`; nobody gets through any more then. `hold_after`: bytes after which
    nothing more of the client's is forwarded until `go_on`, or as much as `let_through` says; `held` is set then. With `silent`
    nothing gets to the client either from then on, until the gateway ends the connection."""

    def __init__(
        self,
        port: int,
        *,
        cut_after: int | None = None,
        gently: bool = False,
        hold_after: int | None = None,
        silent: bool = False,
    ) -> None:
        self.sent = self.received = 0
        self.held = threading.Event()
        self._to, self._left, self._gently = port, cut_after, gently
        self._hold_after, self._silent = hold_after, silent
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._sockets: list[socket.socket] = []
        self._pumps: list[threading.Thread] = []
        self._listener = socket.socket()
        # What a client has sent is on its way, and not in the buffers of this machine.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def go_on(self) -> None:
        """Holds nothing up any more."""
        with self._room:
            self._hold_after = None
            self._room.notify_all()

    def let_through(self, size: int) -> None:
        """So many bytes more before the line is held up."""
        with self._room:
            if self._hold_after is not None:
                self._hold_after += size
            self._room.notify_all()

    def run_dry(self, within_s: float) -> bool:
        """Waits until all that was sent has been forwarded, and every connection has ended. Whether that came in time."""
        deadline = time.monotonic() + within_s
        for each in list(self._pumps):
            each.join(max(0.0, deadline - time.monotonic()))
        return not any(each.is_alive() for each in self._pumps)

    def cut(self, *, gently: bool | None = None) -> None:
        """Ends all connections, and takes no more."""
        gently = self._gently if gently is None else gently
        with self._lock:
            self._left = 0
        self.go_on()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                if not gently:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                for way in ((client, server, True), (server, client, False)):
                    self._pumps.append(threading.Thread(target=self._pump, args=way, daemon=True))
                    self._pumps[-1].start()

    def _pump(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE):
                if from_client:
                    self._forward(data, sink)
                    if self._left == 0:
                        self.cut()
                        return
                else:
                    if self.held.is_set() and self._silent:
                        continue
                    self.received += len(data)
                    sink.sendall(data)
        if self.held.is_set() and self._silent:
            self.cut()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _forward(self, data: bytes, sink: socket.socket) -> None:
        with self._lock:
            if self._left is not None:
                data = data[: self._left]
                self._left -= len(data)
        while data:
            with self._room:
                while self._hold_after is not None and self.sent >= self._hold_after:
                    self.held.set()
                    self._room.wait()
                room = len(data) if self._hold_after is None else min(len(data), self._hold_after - self.sent)
                self.sent += room
            sink.sendall(data[:room])
            data = data[room:]
