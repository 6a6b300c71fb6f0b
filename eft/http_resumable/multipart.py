"""A form's body as it arrives (RFC 7578): which part begins, its bytes, its end. Nothing of a file is kept here."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from eft.http_resumable.form_names import Disposition, read_disposition
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request

_HEADER_BYTES: Final = 8 * 1024
_HEADERS: Final = 16


@dataclass(frozen=True, slots=True)
class PartBegins:
    disposition: Disposition


@dataclass(frozen=True, slots=True)
class PartBytes:
    """At most what one read from the connection brought."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The delimiter behind the part has been seen: all of it is here."""


FormEvent = PartBegins | PartBytes | PartEnds


async def read_form(request: Request) -> AsyncGenerator[FormEvent, None]:
    """The parts in order. Ends only behind the closing delimiter.

    Raises Refusal for a body that is no form or is not whole, and what reading the body raises.
    """
    kind, options = parse_options_header(request.headers.get("Content-Type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 1 <= len(boundary) <= 200:
        raise Refusal(
            415, "content-type", "The body is not the form of this page.", "Send the form as multipart/form-data.", close=True
        )
    reader = _Reader(boundary)
    async for piece in request.body:
        for event in reader.read(piece):
            yield event
    if not reader.ended:
        raise _broken("The form ends before its last part does.")


class _Reader:
    """Turns the parser's callbacks into events."""

    def __init__(self, boundary: bytes) -> None:
        self._events: list[FormEvent] = []
        self._field = b""
        self._value = b""
        self._disposition: Disposition | None = None
        self.ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._more_field,
                "on_header_value": self._more_value,
                "on_header_end": self._header,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": lambda: self._events.append(PartEnds()),
                "on_end": self._end,
            },
            max_header_count=_HEADERS,
            max_header_size=_HEADER_BYTES,
        )

    def read(self, piece: bytes) -> list[FormEvent]:
        self._events = []
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _broken("The form's parts cannot be told apart.") from error
        return self._events

    def _begin(self) -> None:
        self._disposition = None

    def _more_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _more_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = read_disposition(self._value)
        self._field = self._value = b""

    def _headers_finished(self) -> None:
        if self._disposition is None:
            raise _broken("A part of the form does not say which field it is.")
        self._events.append(PartBegins(self._disposition))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(PartBytes(data[start:end]))

    def _end(self) -> None:
        self.ended = True


def _broken(detail: str) -> Refusal:
    return Refusal(400, "form-broken", detail, "Send the form again.", close=True)
