"""The Transfer Files page of a case: `/launch/TICKET` turns a ticket into a cookie, `/transfer/CASE` is what it opens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
import re
from typing import Final

from eft.accounts.launches import Launches, Over
from eft.accounts.sessions import Visitor
from eft.domain.actor import Actor
from eft.domain.clock import Clock
from eft.domain.errors import EftError, NotFound, Unauthenticated, WrongRegion
from eft.domain.http_statuses import status_of
from eft.http_resumable import page_messages as messages
from eft.http_resumable import problems
from eft.http_resumable.callers import Callers, cross_origin, session_ended
from eft.http_resumable.page_assets import Build
from eft.http_resumable.page_cookies import Origin, PageCookie, is_navigation, is_prefetch, is_safe, origin_of
from eft.http_resumable.page_files import FILES_PATH, CaseFiles
from eft.http_resumable.page_form import FormIntake, FormOutcome, WrongForm, form_token
from eft.http_resumable.page_html import Pages, json_for_script, reads_pages
from eft.http_resumable.page_messages import Message
from eft.http_resumable.page_state import PageState
from eft.http_resumable.rates import Rates
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response, json_response
from eft.transfers import Transfers

LAUNCH: Final = "/launch"
TRANSFER: Final = "/transfer"

_CASE_PATH = re.compile(r"/transfer/([A-Za-z0-9._-]{1,64})")
_STATE_PATH = re.compile(r"/transfer/([A-Za-z0-9._-]{1,64})/state")


class _Told(Exception):
    """The answer is a message."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.code)
        self.message = message


class _Speaker:
    """Answers with pages, and with problem documents where the caller asked for JSON."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def answer(self, request: Request, work: Callable[[Request], Awaitable[Response]]) -> Response:
        try:
            return await work(request)
        except _Told as told:
            return self._say(request, told.message)
        except (EftError, Refusal) as error:
            if _wants_json(request) or (isinstance(error, WrongRegion) and not reads_pages(request)):
                return problems.answer(error)
            return self._pages.refusal(messages.of_error(error), error)

    def _say(self, request: Request, message: Message) -> Response:
        if _wants_json(request):
            return problems.answer(Refusal(message.status, message.code, " ".join(message.what), " ".join(message.to_do)))
        return self._pages.message(message)


class LaunchPage:
    """The handler of `/launch/TICKET`."""

    def __init__(self, *, launches: Launches, cookie: PageCookie, pages: Pages) -> None:
        self._launches = launches
        self._cookie = cookie
        self._speaker = _Speaker(pages)

    async def __call__(self, request: Request) -> Response:
        return await self._speaker.answer(request, self._answer)

    async def _answer(self, request: Request) -> Response:
        if request.method == "HEAD":
            # Mail filters and chat programs look at links so; only the person's own GET uses the ticket up.
            return Response(204)
        if request.method != "GET":
            raise _not_allowed("GET, HEAD")
        if is_prefetch(request):
            raise _Told(messages.PREFETCH)
        ticket = request.path.removeprefix(LAUNCH).removeprefix("/")
        outcome = await self._launches.redeem(ticket, self._cookie.value_in(request), request.peer)
        if isinstance(outcome, Over):
            raise _Told(messages.LAUNCH[outcome])
        return Response(303, (("Location", f"{TRANSFER}/{outcome.case_id}"), self._cookie.to_set(outcome.cookie)))


class TransferPage:
    """The handler of `/transfer/CASE` and of what is below it. `max_size`: bytes of the largest file that the form may bring."""

    def __init__(
        self,
        *,
        state: PageState,
        transfers: Transfers,
        files: CaseFiles,
        callers: Callers,
        cookie: PageCookie,
        pages: Pages,
        build: Build,
        clock: Clock,
        max_size: int | None,
        rates: Rates | None,
    ) -> None:
        self._max_size = max_size
        self._rates = rates
        self._state = state
        self._transfers = transfers
        self._files = files
        self._callers = callers
        self._cookie = cookie
        self._pages = pages
        self._build = build
        self._clock = clock
        self._speaker = _Speaker(pages)

    async def __call__(self, request: Request) -> Response:
        if _STATE_PATH.fullmatch(request.path):
            try:
                return await self._tell_state(request)
            except (EftError, Refusal) as error:
                return problems.answer(error)
        return await self._speaker.answer(request, self._answer)

    async def _answer(self, request: Request) -> Response:
        if found := _CASE_PATH.fullmatch(request.path):
            if request.method in ("GET", "HEAD"):
                return await self._show(request, found[1])
            if request.method == "POST":
                return await self._take_form(request, found[1])
            raise _not_allowed("GET, HEAD, POST")
        if found := FILES_PATH.fullmatch(request.path):
            if request.method in ("GET", "HEAD"):
                return await self._files.answer(request, found, await self._reader(request, found["case"]))
            raise _not_allowed("GET, HEAD")
        raise _Told(messages.NOT_FOUND)

    async def _visitor(self, request: Request, case_id: str) -> Visitor:
        """Who has this case open in this browser. Raises _Told, RateLimited."""
        if self._cookie.value_in(request) is None:
            raise _Told(messages.NO_COOKIE)
        if is_safe(request) and origin_of(request) is Origin.FOREIGN and not is_navigation(request):
            raise _Told(messages.NO_COOKIE)
        visitor = await self._cookie.visitor(request)
        if visitor is None:
            raise _Told(messages.SESSION_ENDED)
        if case_id not in visitor.case_ids:
            raise _Told(messages.OTHER_CASE)
        self._count(request, case_id)
        return visitor

    def _count(self, request: Request, case_id: str) -> None:
        """Raises RateLimited."""
        if self._rates is not None:
            self._rates.arrive_for(request, case_id)

    async def _show(self, request: Request, case_id: str) -> Response:
        visitor = await self._visitor(request, case_id)
        case = await self._state.case(case_id)
        document = await self._state.document(case, visitor.person)
        return self._pages.render(
            "transfer.html",
            200,
            state=document,
            state_json=json_for_script(document),
            build=self._build,
            trouble=messages.of_case(case, self._clock.now()),
            form_token=form_token(self._cookie.value_in(request) or "", case_id),
        )

    async def _tell_state(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise _not_allowed("GET, HEAD")
        case_id = request.path.split("/")[2]
        if origin_of(request) is Origin.FOREIGN:
            raise Unauthenticated
        visitor = await self._cookie.visitor(request)
        if visitor is None or case_id not in visitor.case_ids:
            raise session_ended()
        self._count(request, case_id)
        case = await self._state.case(case_id)
        return json_response(200, await self._state.document(case, visitor.person))

    async def _reader(self, request: Request, case_id: str) -> Actor:
        """Who may read files of this case: its visitor, or the holder of an upload token for it. Raises _Told, Unauthenticated,
        NotFound."""
        if "Authorization" not in request.headers:
            visitor = await self._visitor(request, case_id)
            return Actor(visitor.person.actor_name, request.peer)
        principal = await self._callers.uploader(request)
        if principal.case_id != case_id:
            raise NotFound
        return Actor(principal.name, request.peer)

    async def _take_form(self, request: Request, case_id: str) -> Response:
        origin = origin_of(request)
        if origin is Origin.FOREIGN:
            raise cross_origin() if _wants_json(request) else _Told(messages.FORM_WITHOUT_PAGE)
        visitor = await self._visitor(request, case_id)
        case = await self._state.case(case_id)
        trouble = messages.of_case(case, self._clock.now())
        if trouble is not None:
            raise _Told(trouble)
        token = None if origin is Origin.OWN else form_token(self._cookie.value_in(request) or "", case_id)
        intake = FormIntake(
            self._transfers,
            case_id=case_id,
            person=visitor.person,
            address=request.peer,
            token=token,
            max_size=self._max_size,
        )
        try:
            outcome = await intake.run(request)
        except WrongForm:
            raise _Told(messages.FORM_WITHOUT_PAGE) from None
        if not (outcome.received or outcome.refused):
            raise _Told(messages.NO_FILE)
        return self._pages.render(
            "received.html",
            _status_of(outcome),
            case=case,
            received=outcome.received,
            refused=outcome.refused,
        )


def _status_of(outcome: FormOutcome) -> int:
    """Success where a file was received; otherwise that of the first refusal."""
    return 200 if outcome.received else status_of(outcome.refused[0].error)


def _wants_json(request: Request) -> bool:
    kinds = {token.partition(";")[0].strip() for token in request.headers.tokens("Accept")}
    is_program = "Authorization" in request.headers or kinds & {"application/json", "application/problem+json"}
    return bool(is_program) and "text/html" not in kinds


def _not_allowed(allowed: str) -> Refusal:
    detail = "That method is not for this address."
    return Refusal(405, "method-not-allowed", detail, f"Use one of {allowed}.", headers={"Allow": allowed})
