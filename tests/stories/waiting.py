"""Waits for what is promised to happen, and says what was seen where it does not."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any, TypeVar

from tests.fixtures.gateway import ApiError, Gateway

T = TypeVar("T")


def until(look: Callable[[], T], holds: Callable[[T], object] = bool, *, within_s: float = 60.0, every_s: float = 0.05) -> T:
    """The first thing seen for which it holds."""
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        if holds(seen):
            return seen
        assert time.monotonic() < deadline, f"after {within_s} s still: {seen!r}"
        time.sleep(every_s)


def listed(gateway: Gateway, case_id: str) -> dict[str, dict[str, Any]]:
    """The newest attachment of each name."""
    return {item["name"]: item for item in reversed(gateway.attachments(case_id))}


def published(gateway: Gateway, case_id: str, *names: str, within_s: float = 60.0) -> dict[str, dict[str, Any]]:
    """The attachments by name, once these are among them."""
    return until(lambda: listed(gateway, case_id), lambda seen: set(names) <= set(seen), within_s=within_s)


def unfinished(gateway: Gateway, case_id: str) -> dict[str, dict[str, Any]]:
    """Unfinished uploads by name."""
    return {item["name"]: item for item in gateway.call("GET", f"cases/{case_id}/uploads")["items"]}


def refusal(gateway: Gateway, method: str, path: str, body: object = None) -> tuple[int, str]:
    """Status and code of an answer of the control API; (200, "") where it was none."""
    try:
        gateway.call(method, path, body)
    except ApiError as error:
        return error.status, str(error.problem.get("code"))
    return 200, ""
