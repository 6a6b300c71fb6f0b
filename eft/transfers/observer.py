"""What the receive path tells whoever watches it."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Counts. Called on the event loop, and never slow."""

    def received(self, source: str, size: int) -> None:
        """So many bytes of plaintext became durable."""

    def committed(self, seconds: float) -> None:
        """A commit took so long, until what it holds was on stable storage."""

    def published(self, source: str) -> None:
        """An upload became an attachment."""


class Unobserved:
    """Nobody watches."""

    def received(self, source: str, size: int) -> None:
        return

    def committed(self, seconds: float) -> None:
        return

    def published(self, source: str) -> None:
        return
