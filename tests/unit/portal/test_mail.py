"""Mail: by SMTP to a server that speaks as little of it as it may, and into a directory."""

from __future__ import annotations

import asyncio
from email import message_from_bytes, policy
from pathlib import Path

from eft.portal.mail import DirectoryMailer, SmtpMailer
from eft.portal.settings import MailSettings
from tests.unit.portal.conftest import Clock

SETTINGS = MailSettings(sender="support@support.example", host="127.0.0.1", security="none")


class Server:
    """Takes mail on a free port. `refuses`: says no to every recipient."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.received: list[bytes] = []

    async def __aenter__(self) -> Server:
        self.server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                self.received.append(await reader.readuntil(b"\r\n.\r\n"))
            writer.write(
                b"550 nobody\r\n" if self.refuses and verb == b"RCPT" else b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n"
            )
            if verb == b"QUIT":
                break
        writer.close()


async def test_a_mail_arrives_whole(clock: Clock) -> None:
    async with Server() as server:
        mailer = SmtpMailer(SETTINGS.model_copy(update={"port": server.port}), clock)
        await mailer.send("ann@example.com", "Subject ü", "A link: https://portal.test/reset/abc\n")
    message = message_from_bytes(server.received[0], policy=policy.default)
    assert (message["To"], message["From"], message["Subject"]) == ("ann@example.com", "support@support.example", "Subject ü")
    assert "https://portal.test/reset/abc" in message.get_content()
    assert message["Date"] == "Mon, 23 Nov 2026 09:00:00 +0000"


async def test_a_mail_that_cannot_be_sent_raises_nothing(clock: Clock) -> None:
    async with Server(refuses=True) as server:
        await SmtpMailer(SETTINGS.model_copy(update={"port": server.port}), clock).send("x@example.com", "S", "T")
    assert server.received == []
    await SmtpMailer(SETTINGS.model_copy(update={"port": server.port}), clock).send("x@example.com", "S", "T")


async def test_mail_in_a_directory_is_for_its_owner_alone(tmp_path: Path, clock: Clock) -> None:
    await DirectoryMailer(tmp_path / "mail", "support@support.example", clock).send("ann@example.com", "S", "A link.\n")
    (file,) = (tmp_path / "mail").glob("*.eml")
    assert file.stat().st_mode & 0o077 == 0
    assert (tmp_path / "mail").stat().st_mode & 0o077 == 0
    assert message_from_bytes(file.read_bytes(), policy=policy.default).get_content() == "A link.\n"
