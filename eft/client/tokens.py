"""Where the token comes from: a file, EFT_TOKEN, a prompt; never an argument, which every user of the machine could read."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import sys
import threading

from eft.client.errors import TokenRefused, Wrong

VARIABLE = "EFT_TOKEN"


class Token:
    """The token in use. Threads share it; one of them renews it for all."""

    def __init__(self, value: str, renewal: Callable[[], str | None]) -> None:
        self._value = _checked(value)
        self._renewal = renewal
        self._lock = threading.Lock()

    @property
    def value(self) -> str:
        return self._value

    def renew(self, refused: str, why: str) -> None:
        """Replaces the token that the gateway `refused`, unless another thread has. Raises TokenRefused if there is no other."""
        with self._lock:
            if self._value != refused:
                return
            renewed = self._renewal()
            if not renewed or renewed.strip() == refused:
                raise TokenRefused(
                    why, "Get a new token from the case page and run the same command again: it goes on where it was."
                )
            self._value = _checked(renewed)


def find_token(token_file: str | None, ask: Callable[[str], str] | None) -> Token:
    """The token from `token_file` (`-`: standard input), else from EFT_TOKEN, else by asking. `ask` is None without a terminal.

    When the gateway refuses it later, the file is read again, and then the person is asked. Raises Wrong, TokenRefused.
    """

    def renewed() -> str | None:
        if token_file not in (None, "-"):
            value = _read(Path(str(token_file)))
            if value != token.value:
                return value
        return ask("The token has expired or is unknown. A new one from the case page") if ask else None

    if token_file == "-":
        value = sys.stdin.readline().strip()
    elif token_file is not None:
        value = _read(Path(token_file))
    elif os.environ.get(VARIABLE):
        value = os.environ[VARIABLE]
    elif ask is not None:
        value = ask("Token from the case page")
    else:
        raise Wrong("There is no token.", f"Give --token-file FILE, or set {VARIABLE}.")
    token = Token(value, renewed)
    return token


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Wrong(
            f"The token file {file} cannot be read ({type(error).__name__}).", "Name a text file with the token."
        ) from None


def _checked(value: str) -> str:
    value = value.strip()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise Wrong("That is no token.", "Copy the whole token from the case page, one line without spaces.")
    return value
