"""Signing in and out, and passwords that were forgotten."""

from __future__ import annotations

import re

from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from eft.domain.errors import Invalid
from eft.portal import journal, people, resets, sessions, throttle
from eft.portal.door import set_session, shared
from eft.portal.forms import ForgottenForm, NewPasswordForm, SignInForm
from eft.portal.pages import Notice
from eft.portal.passwords import check_new
from eft.portal.site import Site, Visit

_WRONG = Notice("problem", "E-mail address or password are wrong. Try again, or choose “Forgotten your password?”.")
_TOO_OFTEN = Notice("problem", "There were too many tries. Wait a quarter of an hour, or choose “Forgotten your password?”.")
_LOCAL = re.compile(r"/(cases|queue|new-case)[A-Za-z0-9._/-]*")


async def show_sign_in(site: Site, visit: Visit) -> Response:
    if visit.person is not None:
        return RedirectResponse("/cases", 303, site.pages.headers)
    told = {
        "signed-out": Notice("done", "You are signed out."),
        "password": Notice("done", "Your new password is set. Sign in with it."),
    }
    return _page(site, visit, SignInForm(), told.get(visit.request.query_params.get("done", "")))


async def sign_in(site: Site, visit: Visit) -> Response:
    """Who is unknown gets the same answer after the same time as who has mistyped. A new session has a new secret."""
    form = SignInForm(visit.form)
    if not form.validate():
        return _page(site, visit, form, None, 400)
    email, password = str(form.email.data).strip().lower(), str(form.password.data)
    now, address = site.clock.now(), visit.address

    def begin(conn: Connection) -> tuple[bool, str | None]:
        by_address = throttle.take(conn, throttle.SIGN_IN_BY_ADDRESS, address, now)
        by_account = throttle.take(conn, throttle.SIGN_IN_BY_ACCOUNT, email, now)
        person = people.by_email(conn, email)
        return by_address and by_account, people.password_hash_of(conn, person.id) if person else None

    allowed, stored = await site.database.run(begin)
    if not allowed:
        site.metrics.signed_in("throttled")
        return _page(site, visit, form, _TOO_OFTEN, 429)
    if not await site.passwords.matches(stored, password):
        site.metrics.signed_in("refused")
        await site.note(visit, "sign-in-refused", detail=email[:254])
        return _page(site, visit, form, _WRONG, 401)

    def finish(conn: Connection) -> str | None:
        person = people.by_email(conn, email)
        if person is None or people.password_hash_of(conn, person.id) != stored:
            return None  # the password was changed while it was being compared
        throttle.forget(conn, throttle.SIGN_IN_BY_ACCOUNT, email)
        sessions.end(conn, visit.secret)
        journal.note(conn, at=now, email=email, address=address, action="sign-in")
        return sessions.begin(conn, person, now)

    secret = await site.database.run(finish)
    if secret is None:
        return _page(site, visit, form, _WRONG, 401)
    site.metrics.signed_in("done")
    return set_session(RedirectResponse(_next(visit) or "/cases", 303, site.pages.headers), secret)


async def sign_out(site: Site, visit: Visit) -> Response:
    await site.database.run(lambda conn: sessions.end(conn, visit.secret))
    if visit.person is not None:
        await site.note(visit, "sign-out")
    return set_session(RedirectResponse("/sign-in?done=signed-out", 303, site.pages.headers), sessions.new_secret())


async def show_forgotten(site: Site, visit: Visit) -> Response:
    return site.pages.render("forgotten.html", form=ForgottenForm(), sent=False, **shared(site, visit))


async def forgotten(site: Site, visit: Visit) -> Response:
    """Answers the same to everybody; whether a mail goes out is decided after the answer."""
    form = ForgottenForm(visit.form)
    if not form.validate():
        return site.pages.render("forgotten.html", 400, form=form, sent=False, **shared(site, visit))
    site.in_background(_mail_link(site, str(form.email.data).strip().lower(), visit.address))
    return site.pages.render("forgotten.html", form=form, sent=True, **shared(site, visit))


async def show_reset(site: Site, visit: Visit) -> Response:
    """Opening a link does not use it up: mail programs open links too."""
    now = site.clock.now()
    person = await site.database.run(lambda conn: resets.person_of(conn, visit.part("secret"), now))
    return _reset_page(site, visit, person is not None, NewPasswordForm())


async def reset(site: Site, visit: Visit) -> Response:
    form = NewPasswordForm(visit.form)
    now = site.clock.now()
    link = visit.part("secret")
    if await site.database.run(lambda conn: resets.person_of(conn, link, now)) is None:
        return _reset_page(site, visit, False, form)
    if not form.validate():
        return _reset_page(site, visit, True, form)
    try:
        password = check_new(str(form.password.data))
        if password != form.again.data:
            raise Invalid("The two passwords differ.", "Type the same one twice.")
    except Invalid as error:
        return _reset_page(site, visit, True, form, Notice("problem", f"{error.detail} {error.remedy}"))
    hashed = await site.passwords.hash(password)

    def work(conn: Connection) -> bool:
        person = resets.use(conn, link, hashed, now)
        if person is not None:
            throttle.forget(conn, throttle.SIGN_IN_BY_ACCOUNT, person.email)
            journal.note(conn, at=now, email=person.email, address=visit.address, action="password-reset")
        return person is not None

    if not await site.database.run(work):
        return _reset_page(site, visit, False, form)
    response = RedirectResponse("/sign-in?done=password", 303, site.pages.headers)
    return set_session(response, sessions.new_secret())


async def _mail_link(site: Site, email: str, address: str) -> None:
    now = site.clock.now()

    def work(conn: Connection) -> str | None:
        allowed = throttle.take(conn, throttle.RESET_BY_ADDRESS, address, now)
        person = people.by_email(conn, email)
        if not allowed or person is None or not throttle.take(conn, throttle.RESET_BY_ACCOUNT, email, now):
            return None
        journal.note(conn, at=now, email=email, address=address, action="reset-asked")
        return resets.issue(conn, person, now)

    secret = await site.database.run(work)
    if secret is not None:
        minutes = int(resets.GOOD_FOR.total_seconds() // 60)
        await site.mailer.send(
            email,
            "Set a new password for My Support",
            f"Somebody, probably you, asked to set a new password for {email}.\n\n"
            f"Open this link to set it. It is good for {minutes} minutes, and once:\n\n"
            f"{site.settings.url}/reset/{secret}\n\n"
            "If it was not you, do nothing: your password stays as it is.\n",
        )


def _page(site: Site, visit: Visit, form: SignInForm, notice: Notice | None, status: int = 200) -> Response:
    return site.pages.render("sign_in.html", status, form=form, notice=notice, next=_next(visit), **shared(site, visit))


def _reset_page(site: Site, visit: Visit, good: bool, form: NewPasswordForm, notice: Notice | None = None) -> Response:
    status = 410 if not good else 400 if notice or form.errors else 200
    return site.pages.render("reset.html", status, good=good, form=form, notice=notice, **shared(site, visit))


def _next(visit: Visit) -> str:
    """Where somebody wanted to go before they signed in: a page of this portal, or nothing."""
    wanted = str(visit.form.get("next") or visit.request.query_params.get("next", ""))
    return wanted if _LOCAL.fullmatch(wanted) else ""
