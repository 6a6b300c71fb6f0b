"""One SFTP channel: bytes to requests, requests applied in order, replies to bytes.

What can be answered at once (WRITE above all) is answered while a read is parsed, and the replies go out in one write. The
first request that has to wait becomes a task; until it is done the requests behind it wait in the parser. So there is at most
one task for a session, no task for a WRITE, and answers keep their order.

Back-pressure, both ways. While eft is slow, the channel is not read: the client's window closes. While the client does not take
its replies, no further request is looked at; one that goes on sending all the same is cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
import logging
from typing import Any, Protocol

import asyncssh

from eft.domain.errors import EftError
from eft.sftp_temp import codec, replies, requests
from eft.sftp_temp.channel_layer import attach_channel, undelivered
from eft.sftp_temp.digests import Command, OldCopy, Printed, carry_out, command_of
from eft.sftp_temp.errors import UNEXPECTED, refusal, translate
from eft.sftp_temp.handles import WritableFile
from eft.sftp_temp.operations import Operations
from eft.sftp_temp.packet_layer import PIECES

log = logging.getLogger("eft.sftp_temp")

READ_PAUSE, READ_RESUME = 128 * 1024, 64 * 1024
"""Bytes of waiting requests: above the one the channel is not read while one of them is being carried out, or while the peer does
not take the replies; below the other it is again."""
UNANSWERED_BYTES = 2 * 1024 * 1024
"""Bytes of requests that are still refused one by one when a session was cut."""
SHOW_STANDARD_ERROR = ("OpenSSH", "PuTTY")
EXPLAINED = 20
"""Different sentences that a session is told on standard error."""
FLUSH_BYTES = 64 * 1024
SEND_HIGH, SEND_LOW = 512 * 1024, 128 * 1024


class Channel(Protocol):
    """The part of asyncssh's server channel that is used."""

    def write(self, data: bytes, datatype: asyncssh.DataType = None) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def exit(self, status: int) -> None: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


class Host(Protocol):
    """What a session needs of its connection."""

    @property
    def congested(self) -> bool:
        """Whether the peer does not take what was sent to it."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs it to its end, whatever becomes of the connection."""

    def hold(self, session: SftpSession) -> None:
        """Reads nothing of the peer for now: the session has enough to do."""

    def ease(self, session: SftpSession) -> None:
        """The session can take more. Repeatable."""

    def disconnect(self, reason: str, *, protocol_error: bool = False) -> None: ...
    def session_ended(self, session: SftpSession) -> None: ...


class SftpSession(asyncssh.SSHServerSession[bytes]):
    """Applies one client's requests to its case."""

    def __init__(self, host: Host, make_operations: Callable[[], Operations], pieces: frozenset[str] = PIECES) -> None:
        self._host = host
        self._pieces = pieces
        self._operations = make_operations()
        self._operations.early.send = self._send_late
        self._parser = codec.RequestParser()
        self._channel: Channel | None = None
        self._later: Callable[[Callable[[], None]], object] | None = None
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._flushing = False
        self._to_look_at = False
        self._command: Command | OldCopy | None = None
        self._greeted = False
        self._software = ""
        self._explained: set[str] = set()
        self._working = False
        self._pumping = False
        self._current: bytes | None = None
        self._reading_paused = False
        self._sending_paused = False
        self._eof = False
        self._lost = False
        self._stopped = False
        self._farewell: EftError | None = None
        self._ended = False

    # What asyncssh tells

    def connection_made(self, chan: Any) -> None:
        self._channel = chan
        self._later = attach_channel(chan, self._pieces)
        chan.set_write_buffer_limits(SEND_HIGH, SEND_LOW)
        self._software = str(chan.get_extra_info("client_version", ""))

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def shell_requested(self) -> bool:
        return False

    def exec_requested(self, command: str) -> bool:
        """No shell, and no command but those that print digests; any other is refused at once, which is what probes wait for. Who
        copies by scp's old protocol is told of the new one."""
        self._command = command_of(command)
        return self._command is not None

    def session_started(self) -> None:
        if self._command is not None:
            self._working = True
            self._host.spawn(self._print(self._command))

    async def _print(self, command: Command | OldCopy) -> None:
        try:
            printed = await carry_out(command, self._operations.open_file)
        except Exception:
            log.exception("sftp.request_failed")
            printed = Printed(b"", UNEXPECTED.encode() + b"\n", 1)
        if self._channel is not None and not self._stopped:
            self._channel.write(printed.out)
            self._channel.write(printed.error, asyncssh.EXTENDED_DATA_STDERR)
            self._channel.exit(printed.status)
        self._working, self._channel, self._lost = False, None, True
        self.proceed()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._stopped:
            self._refuse(data)
            return
        if self._command is not None:
            return
        self._parser.feed(data)
        if self._working:
            self._read_less()
        elif self._later is None:
            self._arrived()
        elif not self._to_look_at:
            self._to_look_at = True
            self._later(self._arrived)

    def _arrived(self) -> None:
        """Looks at all that one read brought, in however many packets."""
        self._to_look_at = False
        self.proceed()
        if self._working or self._is_blocked:
            self._read_less()

    def eof_received(self) -> bool:
        self._eof = True
        self.proceed()
        return True

    def pause_writing(self) -> None:
        self._sending_paused = True
        self._host.ease(self)  # the peer has to be heard: it says when it takes more

    def resume_writing(self) -> None:
        self._sending_paused = False
        asyncio.get_running_loop().call_soon(self.proceed)

    def connection_lost(self, exc: Exception | None) -> None:
        """Requests that arrived whole are still the client's word and are carried out, a CLOSE among them; after them everything
        is let go of. What did not arrive whole never happened."""
        if self._channel is not None and not self._stopped and self._command is None:
            for data in undelivered(self._channel):
                self._parser.feed(data)
        self._lost = True
        self._channel = None
        self._host.ease(self)
        self.proceed()

    # Carrying out

    def proceed(self) -> None:
        """Goes on with what waits, if nothing stands in the way."""
        if self._working or self._pumping:
            return
        waiting = self._pump()
        if waiting is not None:
            self._working = True
            self._host.spawn(self._work(waiting))
        else:
            self._rest()

    async def _work(self, waiting: Coroutine[Any, Any, bytes] | None) -> None:
        """Waits for one request after the other, as long as there is one to wait for."""
        while waiting is not None:
            reply = await self._carry_out(waiting)
            if not self._stopped:
                self._send(reply)
            self._current = None
            waiting = self._pump()
            if self._parser.available < READ_RESUME:
                self._read_on()
        self._working = False
        self.proceed()

    async def _carry_out(self, waiting: Coroutine[Any, Any, bytes]) -> bytes:
        identifier = self._current
        try:
            return await waiting
        except EftError as error:
            return b"" if identifier is None else self._refusal(identifier, error)
        except Exception:
            log.exception("sftp.request_failed")
            return b"" if identifier is None else replies.status(identifier, replies.FAILURE, UNEXPECTED)

    def _pump(self) -> Coroutine[Any, Any, bytes] | None:
        """Answers what can be answered at once. Gives what has to be waited for, or None where nothing more can be done now."""
        self._pumping = True
        try:
            while not self._stopped and (self._lost or not self._is_blocked):
                runs = self._operations.runs
                if (run := self._parser.run(runs.goes_on)) is not None and (taking := runs.write(run)) is not None:
                    self._parser.skip(run)
                    self._send(replies.oks(run.ids))
                    if taking.reception.full:
                        return self._make_room(taking)
                    continue
                request = self._parser.next()
                if request is None:
                    break
                answer = self._answer(request)
                if not isinstance(answer, bytes):
                    self._current = request.id
                    return answer
                self._send(answer)
                if self._operations.crowded is not None:
                    file, self._operations.crowded = self._operations.crowded, None
                    return self._make_room(file)
            return None
        except codec.Garbage as garbage:
            log.info("sftp.refused", extra={"reason": f"garbage: {garbage}"})
            self._give_up("That is not SFTP version 3.", protocol_error=True)
            return None
        finally:
            self._pumping = False
            self._flush_soon()

    def _answer(self, request: requests.Request) -> bytes | Coroutine[Any, Any, bytes]:
        if not self._greeted:
            if not isinstance(request, requests.Init):
                raise codec.Garbage("a request before INIT")
            self._greeted = True
            # Nobody else proposes it through OpenSSH's ssh.
            self._operations.peer_is_lftp = "OpenSSH" in self._software and request.version >= 6
            return replies.version()
        if isinstance(request, requests.Init):
            raise codec.Garbage("a second INIT")
        try:
            return self._operations.answer(request)
        except EftError as error:
            return self._refusal(request.id, error)
        except Exception:
            log.exception("sftp.request_failed")
            return replies.status(request.id, replies.FAILURE, UNEXPECTED)

    def _refusal(self, identifier: bytes, error: EftError) -> bytes:
        """The STATUS for it. OpenSSH's and PuTTY's programs show words of their own for its code and nothing of its sentence, but
        they do show what comes on standard error: a reason that is final is told there too, once."""
        code, sentence = translate(error)
        told = self._explained
        if (
            any(name in self._software for name in SHOW_STANDARD_ERROR)
            and code == replies.PERMISSION_DENIED
            and sentence not in told
            and len(told) < EXPLAINED
        ):
            told.add(sentence)
            if self._channel is not None and not self._stopped:
                self._channel.write(sentence.encode() + b"\n", asyncssh.EXTENDED_DATA_STDERR)
        return replies.status(identifier, code, sentence)

    async def _make_room(self, file: WritableFile) -> bytes:
        """Waits until the file takes bytes again. What goes wrong meanwhile is told to its next WRITE or CLOSE."""
        try:
            await file.reception.ready()
        except EftError as error:
            file.fail(error)
        return b""

    # Sending, and reading on

    def _send(self, reply: bytes) -> None:
        self._out.append(reply)
        self._out_bytes += len(reply)
        if self._out_bytes >= FLUSH_BYTES:
            self._flush()

    def _send_late(self, reply: bytes) -> None:
        if not self._stopped:
            self._send(reply)
            self._flush_soon()

    def _flush_soon(self) -> None:
        """Sends when everything that the peer's last bytes held has been looked at: one SSH packet for many replies."""
        if self._out_bytes and not self._flushing:
            self._flushing = True
            (self._later or asyncio.get_running_loop().call_soon)(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if not self._out_bytes:
            self._out.clear()
            return
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        if self._channel is not None:
            with suppress(OSError):  # the client has closed the channel: what it sent before is still carried out
                self._channel.write(data)

    @property
    def _is_blocked(self) -> bool:
        """Whether the peer does not take what was sent to it, on this channel or at all."""
        return self._sending_paused or self._host.congested

    def _read_less(self) -> None:
        """Takes no more requests once many wait. Where they wait for storage, nothing of the peer is read; where they wait for
        the peer, asyncssh reads on and keeps at most a window of them (paramiko asks for all of a file at once)."""
        if self._parser.available >= READ_PAUSE and not self._reading_paused and self._channel is not None:
            self._reading_paused = True
            self._channel.pause_reading()
            if not self._sending_paused:
                self._host.hold(self)

    def _read_on(self, *, starved: bool = False) -> None:
        """Reads again once little is left to work off; `starved`: what is left is the beginning of a request, however long."""
        if self._reading_paused and (starved or self._parser.available < READ_RESUME) and self._channel is not None:
            self._reading_paused = False
            self._host.ease(self)
            self._channel.resume_reading()  # which may bring so much that it is held up again

    def _rest(self) -> None:
        """Nothing more can be done with what is there, which may be the better part of a large packet: reads on, or ends where
        nothing more can come."""
        blocked = self._is_blocked and not self._lost
        self._read_on(starved=not blocked)
        if self._working or self._ended:
            return
        if self._stopped or self._lost or (self._eof and not blocked):
            self._ended = True
            self._host.spawn(self._end())

    async def _end(self) -> None:
        await self._operations.end()
        self._flush()
        if self._channel is not None and not self._stopped:
            self._channel.exit(0)
        self._host.session_ended(self)

    # Ending

    def cut(self, error: EftError) -> None:
        """Ends the session at once. Requests that wait, and those that still come, are refused with the error's sentence, as far
        as the client listens; the one that is being carried out may finish, unanswered; open files are kept for a resume."""
        if self._stopped:
            return
        self._stopped = True
        self._farewell = error
        if self._current is not None:
            self._send(refusal(self._current, error))
        self._refuse(b"")
        self.proceed()

    def _refuse(self, data: bytes) -> None:
        """Tells a client that goes on sending why nothing is carried out any more, so that it stops, and hears the end."""
        if self._farewell is None:
            return
        self._parser.feed(data)
        try:
            while not self._is_blocked and (request := self._parser.next()) is not None:
                self._send(refusal(request.id, self._farewell))
        except codec.Garbage:
            self._farewell = None
        if self._farewell is None or self._parser.available > UNANSWERED_BYTES:
            self._parser.clear()
        self._flush()

    def _give_up(self, reason: str, *, protocol_error: bool = False) -> None:
        self._stopped = True
        self._parser.clear()
        self._host.disconnect(reason, protocol_error=protocol_error)
        asyncio.get_running_loop().call_soon(self.proceed)
