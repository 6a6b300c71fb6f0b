"""A line between a client and a gateway that counts bytes, and can be cut."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

RESET = struct.pack("ii", 1, 0)
PIECE = 64 * 1024


class Line:
    """Forwards connections to a port on loopback. `cut_after`: bytes from the client, of all connections together, after which
    each one is reset, or closed in order where `gently`; nobody gets through any more then."""

    def __init__(self, port: int, *, cut_after: int | None = None, gently: bool = False) -> None:
        self.sent = self.received = 0
        self._to, self._left, self._gently = port, cut_after, gently
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def cut(self) -> None:
        """Ends all connections, and takes no more."""
        with self._lock:
            self._left = 0
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                if not self._gently:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE):
                if from_client:
                    data = self._count(data)
                    sink.sendall(data)
                    if self._left == 0:
                        self.cut()
                        return
                else:
                    self.received += len(data)
                    sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _count(self, data: bytes) -> bytes:
        with self._lock:
            if self._left is not None:
                data = data[: self._left]
                self._left -= len(data)
            self.sent += len(data)
        return data
