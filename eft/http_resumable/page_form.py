"""The plain form: files from a browser that runs no scripts, through the one receive path (K16)."""

from __future__ import annotations

from contextlib import aclosing, suppress
from dataclasses import dataclass, field
import hmac
from typing import Final

from eft.domain.actor import Actor
from eft.domain.errors import EftError, NotFound, TooLarge
from eft.domain.person import Person
from eft.domain.upload import Completeness
from eft.http_resumable.form_names import Disposition, file_name
from eft.http_resumable.multipart import PartBegins, PartBytes, read_form
from eft.http_resumable.request import Request
from eft.transfers import Intent, Reception, Transfers

FIELD: Final = "file"
TOKEN_FIELD: Final = "token"
_CHARSET_FIELD: Final = "_charset_"

_TEXT_BYTES: Final = 256
_FILES: Final = 1000


@dataclass(frozen=True, slots=True)
class Received:
    """A file of the form that is stored. `size` in bytes; `sha256` in hex, None while it is read back."""

    name: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A file of the form that is not. Nothing of it is kept."""

    name: str
    code: str
    detail: str
    remedy: str
    error: EftError


@dataclass(slots=True)
class FormOutcome:
    """What became of a form's files."""

    received: list[Received] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def form_token(cookie: str, case_id: str) -> str:
    """What the form carries to show that it is ours: only who has the cookie can make it."""
    return hmac.digest(cookie.encode(), f"form:{case_id}".encode(), "sha256").hex()


class FormIntake:
    """Takes the files of one form in, one after another as they arrive; nothing waits in memory for a file's end.

    A file is published when the delimiter behind it has been seen; one that is cut off leaves nothing. `token` is what the
    form's first field must say, None where the browser has shown otherwise that the form is ours. `max_size`: bytes of the
    largest file, None for no limit.
    """

    def __init__(
        self,
        transfers: Transfers,
        *,
        case_id: str,
        person: Person,
        address: str,
        token: str | None,
        max_size: int | None = None,
    ) -> None:
        self._max_size = max_size
        self._transfers = transfers
        self._case_id = case_id
        self._person = person
        self._actor = Actor(person.actor_name, address)
        self._token = token
        self._charset = "utf-8"
        self._outcome = FormOutcome()
        self._reception: Reception | None = None
        self._name = ""
        self._text: bytearray | None = None
        self._text_field = ""

    async def run(self, request: Request) -> FormOutcome:
        """Raises Refusal, Disconnected where the form breaks off, and WrongForm before the first file."""
        try:
            async with aclosing(read_form(request)) as events:
                async for event in events:
                    if isinstance(event, PartBegins):
                        await self._begin(event.disposition)
                    elif isinstance(event, PartBytes):
                        await self._take(event.data)
                    else:
                        await self._end()
        finally:
            await self._drop()
        return self._outcome

    async def _begin(self, disposition: Disposition) -> None:
        if disposition.filename is None and disposition.extended is None:
            self._text, self._text_field = bytearray(), disposition.field
            return
        if self._token is not None:
            raise WrongForm
        if disposition.field != FIELD:
            return
        try:
            self._name = file_name(disposition, self._charset)
            if not self._name:
                return
            if len(self._outcome.received) + len(self._outcome.refused) >= _FILES:
                raise TooLarge(_FILES, "number of files")
            intent = Intent(name=self._name, source=self._person.source, actor=self._actor)
            self._reception = await self._transfers.begin(self._case_id, intent)
        except EftError as error:
            self._refuse(error)

    async def _take(self, data: bytes) -> None:
        if self._text is not None:
            self._text += data[: _TEXT_BYTES - len(self._text)]
        reception = self._reception
        if reception is None:
            return
        try:
            if self._max_size is not None and reception.offset + len(data) > self._max_size:
                raise TooLarge(self._max_size, "file")
            reception.offer(data)
            if reception.full:
                await reception.ready()
        except EftError as error:
            self._refuse(error)
            await self._drop()

    async def _end(self) -> None:
        if self._text is not None:
            self._take_text(self._text_field, bytes(self._text))
            self._text = None
        reception = self._reception
        if reception is None:
            return
        try:
            size = reception.offset
            attachment = await reception.finish(Completeness.CLOSED)
            self._reception = None
            self._outcome.received.append(Received(self._name, size, attachment.sha256 if attachment is not None else None))
        except EftError as error:
            self._refuse(error)
        finally:
            await self._drop()

    def _take_text(self, name: str, value: bytes) -> None:
        if name == _CHARSET_FIELD:
            self._charset = value.decode("ascii", "replace")
        elif name == TOKEN_FIELD and self._token is not None:
            if not hmac.compare_digest(value, self._token.encode()):
                raise WrongForm
            self._token = None

    def _refuse(self, error: EftError) -> None:
        # A name that cannot be read is shown as the number of its file.
        count = len(self._outcome.received) + len(self._outcome.refused) + 1
        name = "".join(c if c.isprintable() else "\ufffd" for c in self._name)[:255] or f"File {count}"
        self._outcome.refused.append(Refused(name, error.code, error.detail, error.remedy, error))
        self._name = ""

    async def _drop(self) -> None:
        """What is left of a file that will not be whole goes: a form cannot be resumed."""
        reception, self._reception = self._reception, None
        if reception is None:
            return
        await reception.release()
        with suppress(NotFound):
            await self._transfers.terminate(reception.upload_id, case_id=self._case_id, actor=self._actor)


class WrongForm(Exception):
    """The form does not come from the page, as far as can be seen; nothing of it was taken."""
