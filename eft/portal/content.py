"""A file on its way from a gateway to a browser, which goes on where the gateway's connection broke.

A browser that was promised a length cannot be told to go on by itself: a download of hours would be lost by one break. So the
rest is asked for with `Range` and `If-Range` (RFC 9110 §13.1.5): either it is of the very same file, or there is none, and the
answer is cut where it is. Nothing is ever put together of two files.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
import re

import httpx

SILENCE_S = 60.0
"""A gateway under load may be silent for long without being gone."""
PAUSES_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0)
"""Before each try to go on. They begin anew once bytes have come: a gateway has about 24 s to come back."""
MOST_BREAKS = 100
FORWARDED = ("content-type", "content-length", "content-range", "accept-ranges", "etag", "last-modified", "repr-digest")

_SPAN = re.compile(r"bytes (\d+)-(\d+)/\d+")

Ask = Callable[[Mapping[str, str]], Awaitable[httpx.Response]]
"""Asks the gateway for the file, with these headers; gives its answer, whose body was not read yet. Raises httpx.HTTPError."""


class Broken(Exception):
    """The rest of the file cannot be had: what was sent stays a piece of it."""


@dataclass(frozen=True, slots=True)
class Content:
    """Status and headers for the browser, and the bytes, at most 64 KiB in memory at a time. `pieces` raises Broken."""

    status: int
    headers: Mapping[str, str]
    pieces: AsyncGenerator[bytes, None]


def content_of(answer: httpx.Response, ask: Ask, broke: Callable[[str], object]) -> Content:
    """The content that a successful answer begins; `broke` hears of every break. Whoever takes it closes the answer."""
    headers = {name: answer.headers[name] for name in FORWARDED if name in answer.headers}
    return Content(answer.status_code, headers, _pieces(answer, ask, broke))


async def _pieces(answer: httpx.Response, ask: Ask, broke: Callable[[str], object]) -> AsyncGenerator[bytes, None]:
    position, stop = _span(answer)
    tag = answer.headers.get("etag", "")
    breaks = tries = 0
    current: httpx.Response | None = answer
    while True:
        if current is not None:
            try:
                async for piece in current.aiter_raw():
                    position, tries = position + len(piece), 0
                    yield piece
            except (httpx.HTTPError, OSError) as error:
                broke(type(error).__name__)
            else:
                if stop is None or position >= stop:
                    return
                broke("short")
            finally:
                await current.aclose()
        breaks += 1
        if stop is None or not tag or breaks > MOST_BREAKS or tries >= len(PAUSES_S):
            raise Broken
        await asyncio.sleep(PAUSES_S[tries])
        tries += 1
        current = await _rest(ask, position, stop, tag)


async def _rest(ask: Ask, position: int, stop: int, tag: str) -> httpx.Response | None:
    """What follows `position` of the same file; None where the gateway does not answer yet. Raises Broken where there is none."""
    try:
        answer = await ask({"Range": f"bytes={position}-{stop - 1}", "If-Range": tag})
    except (httpx.HTTPError, OSError):
        return None
    if answer.status_code == 206 and answer.headers.get("etag") == tag and _span(answer) == (position, stop):
        return answer
    await answer.aclose()
    if answer.status_code >= 500:
        return None
    raise Broken


def _span(answer: httpx.Response) -> tuple[int, int | None]:
    """Which bytes of the file the answer has, `[start, stop)`; no stop where it does not say."""
    if answer.status_code == 206:
        found = _SPAN.fullmatch(answer.headers.get("content-range", ""))
        return (int(found[1]), int(found[2]) + 1) if found else (0, None)
    length = answer.headers.get("content-length", "")
    return 0, int(length) if length.isdecimal() else None
