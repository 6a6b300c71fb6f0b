"""Sending mail: by SMTP, or into a directory that a demo reads."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from email.utils import format_datetime
import logging
import os
from pathlib import Path
import secrets
from typing import Protocol

import aiosmtplib

from eft.domain.clock import Clock
from eft.portal.settings import MailSettings
from eft.settings_file import text_at

TIMEOUT_S = 20.0

log = logging.getLogger(__name__)


class Mailer(Protocol):
    """Sends one mail of plain text. Failures are logged, and never told to whoever asked for the mail."""

    async def send(self, to: str, subject: str, text: str) -> None: ...


class SmtpMailer:
    """By way of an SMTP server."""

    def __init__(self, settings: MailSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    async def send(self, to: str, subject: str, text: str) -> None:
        settings = self._settings
        password = text_at("mail.password_file", settings.password_file) if settings.password_file else None
        try:
            await aiosmtplib.send(
                _message(settings.sender, to, subject, text, self._clock),
                hostname=settings.host,
                port=settings.port,
                use_tls=settings.security == "tls",
                start_tls=settings.security == "starttls",
                username=settings.username or None,
                password=password,
                timeout=TIMEOUT_S,
            )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            log.warning("portal.mail_failed", extra={"reason": type(error).__name__})


class DirectoryMailer:
    """Into files `*.eml`, readable by their owner alone."""

    def __init__(self, directory: Path, sender: str, clock: Clock) -> None:
        self._directory = directory
        self._sender = sender
        self._clock = clock

    async def send(self, to: str, subject: str, text: str) -> None:
        message = _message(self._sender, to, subject, text, self._clock)
        name = f"{self._clock.now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.eml"
        await asyncio.to_thread(self._write, name, message.as_bytes())

    def _write(self, name: str, content: bytes) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._directory / f".{name}"
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
        temporary.rename(self._directory / name)


def mailer_for(settings: MailSettings, clock: Clock) -> Mailer:
    if settings.directory is not None:
        return DirectoryMailer(settings.directory, settings.sender, clock)
    return SmtpMailer(settings, clock)


def _message(sender: str, to: str, subject: str, text: str, clock: Clock) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = f"<{secrets.token_hex(16)}@{sender.rpartition('@')[2]}>"
    message.set_content(text, cte="8bit")
    return message
