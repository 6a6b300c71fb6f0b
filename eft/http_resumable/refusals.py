"""What the HTTP door refuses for reasons of HTTP alone. What eft itself refuses is the tree in `eft.domain.errors`."""

from __future__ import annotations

from collections.abc import Mapping


class Disconnected(Exception):
    """The peer went away, or the connection failed. There is nobody left to answer."""


class Refusal(Exception):
    """A request answered with a problem document: `status`, a stable `code`, one sentence, and the next step.

    `close`: the connection cannot be used after this answer, as its framing is in doubt.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        remedy: str = "Correct the request and send it again.",
        *,
        headers: Mapping[str, str] | None = None,
        close: bool = False,
    ) -> None:
        self.status, self.code, self.detail, self.remedy = status, code, detail, remedy
        self.headers: dict[str, str] = dict(headers or {})
        self.close = close
        super().__init__(f"{status} {code}: {detail}")


class BodyTooSlow(Refusal):
    """Too little of the body came while it was waited for."""

    def __init__(self, minimum_rate: int, seconds: float) -> None:
        super().__init__(
            408,
            "body-too-slow",
            f"Less than {max(minimum_rate, 1)} bytes a second of the body arrived over {seconds:g} seconds.",
            "Ask for the offset and go on from there; what arrived is kept.",
            close=True,
        )


class Stopping(Refusal):
    """The server ends, in the middle of a body."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "stopping",
            "The server is being restarted.",
            "Ask for the offset and go on from there; what arrived is kept.",
            headers={"Retry-After": "1"},
            close=True,
        )


def malformed(detail: str) -> Refusal:
    """A message whose framing is wrong or ambiguous (RFC 9112 §11): answered with 400, and the connection closed."""
    return Refusal(400, "malformed-request", detail, close=True)


def not_allowed(allowed: str) -> Refusal:
    """`allowed`: the methods that the address has, as the field Allow lists them."""
    detail = "That method is not for this address."
    return Refusal(405, "method-not-allowed", detail, f"Use one of {allowed}.", headers={"Allow": allowed})
