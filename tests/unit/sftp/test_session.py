"""One session over a channel that is not there: order, back-pressure, endings, and what each request does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
import struct

import pytest

from eft.domain.actor import Actor
from eft.domain.errors import CaseClosed, ReadOnly, SignInRefused, StorageFailed, StorageFull, WriterDisplaced
from eft.sftp_temp import early, replies
from eft.sftp_temp import session as session_module
from eft.sftp_temp.operations import Operations
from eft.sftp_temp.session import SftpSession
from eft.sftp_temp.settings import SftpSettings
from tests.unit.sftp import wire
from tests.unit.sftp.fakes import FakeChannel, FakeClock, FakeDirectory, FakeHost, StoredFile
from tests.unit.sftp.wire import Reply

READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32
PUT = WRITE | CREATE | TRUNCATE
ACTOR = Actor("sftp:eft_us_someone", "192.0.2.1")


class Client:
    """Speaks to a session as asyncssh's channel would."""

    def __init__(self) -> None:
        self.directory = FakeDirectory()
        self.clock = FakeClock()
        self.host = FakeHost()
        self.channel = FakeChannel()
        self.settings = SftpSettings(host_keys=(), handles_per_session=8)
        self.session = SftpSession(self.host, self._operations)
        self.channel.session = self.session
        self.session.connection_made(self.channel)
        self._seen = 0
        self._ids = 0

    def _operations(self) -> Operations:
        return Operations(case_id="case-1", actor=ACTOR, directory=self.directory, clock=self.clock, settings=self.settings)

    async def hello(self) -> None:
        self.channel.deliver(wire.INIT)
        (version,) = await self.replies()
        assert version.kind == 2

    def send(self, data: bytes) -> None:
        self.channel.deliver(data)

    async def replies(self) -> list[Reply]:
        await self.host.settle()
        new = bytes(self.channel.written[self._seen :])
        self._seen = len(self.channel.written)
        return wire.replies(new)

    async def ask(self, packet: bytes) -> Reply:
        self.send(packet)
        (reply,) = await self.replies()
        assert reply.id == struct.unpack_from(">I", packet, 5)[0]
        return reply

    async def open(self, path: str, flags: int) -> bytes:
        return (await self.ask(wire.open_file(1, path, flags))).handle

    async def put(self, path: str, data: bytes, flags: int = PUT) -> Reply:
        handle = await self.open(path, flags)
        assert (await self.ask(wire.write(2, handle, 0, data))).code == 0
        return await self.ask(wire.close(3, handle))

    @property
    def reception(self):  # type: ignore[no-untyped-def]
        return self.directory.receptions[-1]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    await client.hello()
    yield client
    if not client.host.ended:
        client.session.connection_lost(None)
    await client.host.settle()
    assert client.host.ended == 1


# Beginnings


async def test_a_file_whose_name_is_known_to_be_free_is_opened_without_waiting(client: Client) -> None:
    client.directory.knows_free_names = True
    client.send(wire.open_file(1, "a", PUT))
    assert not client.host.tasks
    (opened,) = await client.replies()
    assert (await client.ask(wire.write(2, opened.handle, 0, b"abc"))).code == 0
    assert (await client.ask(wire.close(3, opened.handle))).code == 0
    assert client.directory.files["a"].data == b"abc"


@pytest.mark.parametrize("flags", [PUT | EXCLUSIVE, WRITE | CREATE, WRITE | TRUNCATE, READ])
async def test_who_asks_for_more_than_a_new_file_is_answered_after_a_look(client: Client, flags: int) -> None:
    client.directory.knows_free_names = True
    client.send(wire.open_file(1, "a", flags))
    assert client.host.tasks
    await client.replies()


async def test_version_three_is_all_there_is_whatever_is_proposed() -> None:
    client = Client()
    client.send(struct.pack(">IBI", 5, 1, 6))
    (version,) = await client.replies()
    assert version.body[:4] == wire.u32(3)
    for extension in (b"posix-rename@openssh.com", b"statvfs@openssh.com", b"fsync@openssh.com", b"limits@openssh.com"):
        assert extension in version.body


@pytest.mark.parametrize("first", [wire.close(1, b"h"), bytes(5), b"SSH-2.0-x\r\n", struct.pack(">I", 2**31)])
async def test_what_is_not_sftp_ends_the_connection(first: bytes) -> None:
    client = Client()
    client.send(first)
    await client.host.settle()
    assert client.host.disconnected
    assert not client.channel.written
    client.send(wire.INIT)
    assert not await client.replies()


async def test_a_second_init_ends_the_connection(client: Client) -> None:
    client.send(wire.INIT)
    await client.host.settle()
    assert client.host.disconnected


async def test_only_the_sftp_subsystem_is_given() -> None:
    session = Client().session
    assert session.subsystem_requested("sftp")
    assert not session.subsystem_requested("netconf")
    assert not session.shell_requested()
    assert not session.exec_requested("id")
    assert session.exec_requested("md5sum x")


# Uploads


async def test_a_file_is_put(client: Client) -> None:
    assert (await client.put("/dir/../a", b"hello")).code == 0
    assert bytes(client.directory.files["a"].data) == b"hello"
    assert client.reception.settled == 5.0
    assert client.directory.actors == {ACTOR}
    assert client.directory.cases == {"case-1"}


async def test_writes_are_answered_in_order_and_in_one_write(client: Client) -> None:
    handle = await client.open("a", PUT)
    before = client.channel.writes
    client.send(b"".join(wire.write(10 + n, handle, n * 3, b"abc") for n in range(20)))
    answers = await client.replies()
    assert [(answer.id, answer.code) for answer in answers] == [(10 + n, 0) for n in range(20)]
    assert client.channel.writes == before + 1
    assert bytes(client.directory.files["a"].data) == b"abc" * 20


async def test_a_write_takes_no_task(client: Client) -> None:
    handle = await client.open("a", PUT)
    for number in range(10):
        client.send(wire.write(number, handle, number, b"x"))
        assert not client.host.tasks


async def test_ok_to_close_waits_until_the_file_is_durable(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.reception.gate = asyncio.Event()
    client.send(wire.close(2, handle) + wire.packet(17, 3, wire.string("a")))
    await asyncio.sleep(0.01)
    assert not client.channel.written[client._seen :]
    client.reception.gate.set()
    closed, stat = await client.replies()
    assert (closed.id, closed.code, stat.id) == (2, 0, 3)


async def test_a_failed_settle_fails_the_close_and_keeps_what_there_is(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.reception.fail_with = StorageFailed()
    reply = await client.ask(wire.close(2, handle))
    assert reply.code == replies.FAILURE
    assert "Resume" in reply.message
    assert client.reception.released
    assert client.reception.settled is False


async def test_after_an_error_a_close_does_not_settle(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.reception.fail_with = StorageFull()
    reply = await client.ask(wire.write(2, handle, 0, b"x"))
    assert reply.code == replies.PERMISSION_DENIED
    assert "space" in reply.message
    client.reception.fail_with = None
    assert (await client.ask(wire.write(3, handle, 0, b"x"))).code == replies.PERMISSION_DENIED
    assert (await client.ask(wire.close(4, handle))).code == replies.PERMISSION_DENIED
    assert client.reception.released
    assert client.reception.settled is False


async def test_a_write_too_far_out_of_order_is_refused_and_names_the_remedy(client: Client) -> None:
    handle = await client.open("a", PUT)
    reply = await client.ask(wire.write(2, handle, 2**30, b"x"))
    assert reply.code == replies.PERMISSION_DENIED
    assert "client" in reply.message


# Writes that come early


async def test_a_write_is_answered_when_what_lies_before_it_has_come(client: Client) -> None:
    handle = await client.open("a", PUT)
    for n in (2, 1, 4):
        client.send(wire.write(n, handle, n * 10, bytes([n]) * 10))
    assert not await client.replies()
    client.send(wire.write(7, handle, 0, bytes(10)))
    assert [(reply.id, reply.code) for reply in await client.replies()] == [(7, 0), (1, 0), (2, 0)]
    client.send(wire.write(8, handle, 30, b"\3" * 10))
    assert [(reply.id, reply.code) for reply in await client.replies()] == [(8, 0), (4, 0)]
    assert (await client.ask(wire.write(9, handle, 50, b"end"))).code == 0
    assert (await client.ask(wire.close(10, handle))).code == 0
    assert bytes(client.directory.files["a"].data) == b"".join(bytes([n]) * 10 for n in range(5)) + b"end"


async def test_a_file_with_a_hole_holds_up_no_other(client: Client) -> None:
    first, second = await client.open("a", PUT), await client.open("b", PUT)
    client.send(wire.write(1, first, 10, b"x"))
    assert (await client.ask(wire.write(2, second, 0, b"y"))).code == 0
    assert (await client.ask(wire.close(3, second))).code == 0
    assert not await client.replies()


async def test_a_client_that_leaves_a_hole_and_waits_is_answered_once_it_has_waited(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "PATIENCE_S", 0.05)
    handle = await client.open("a", PUT)
    client.send(wire.write(1, handle, 10, b"x"))
    client.send(wire.write(2, handle, 20, b"x"))
    assert not await client.replies()
    await asyncio.sleep(0.1)
    assert [(reply.id, reply.code) for reply in await client.replies()] == [(1, 0), (2, 0)]
    assert (await client.ask(wire.write(3, handle, 30, b"x"))).code == 0, "and waits no more"


async def test_a_file_that_grows_is_not_out_of_patience(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "PATIENCE_S", 0.2)
    handle = await client.open("a", PUT)
    client.send(wire.write(1, handle, 100, b"x"))
    for n in range(6):
        await asyncio.sleep(0.1)
        assert (await client.ask(wire.write(2, handle, n, b"y"))).code == 0
    await asyncio.sleep(0.5)
    assert [reply.id for reply in await client.replies()] == [1]


@pytest.mark.parametrize("ending", ["close", "refused"])
async def test_what_waits_in_a_file_that_is_given_up_is_told_so(client: Client, ending: str) -> None:
    handle = await client.open("a", PUT)
    client.send(wire.write(1, handle, 10, b"x"))
    client.send(wire.close(2, handle) if ending == "close" else wire.write(2, handle, 2**30, b"x"))
    assert sorted((reply.id, reply.code) for reply in await client.replies()) == [
        (1, replies.PERMISSION_DENIED),
        (2, replies.PERMISSION_DENIED),
    ]


async def test_what_waits_when_the_disk_is_full_is_told_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock: the client may have nothing more to send."""
    monkeypatch.setattr(early, "PATIENCE_S", 0.05)
    handle = await client.open("a", PUT)
    client.send(wire.write(1, handle, 10, b"x"))
    file = next(client.session._operations._handles.writable())
    file.fail(StorageFull())
    await asyncio.sleep(0.1)
    assert [(reply.id, reply.code) for reply in await client.replies()] == [(1, replies.PERMISSION_DENIED)]


async def test_a_client_may_be_late_by_all_that_it_has_under_way(client: Client) -> None:
    """As ssh2 sends a file whose first bytes its disk gives last: 64 writes under way, one more for each reply."""
    handle = await client.open("a", PUT)
    size, count = 32 * 1024, 640
    waiting = iter(range(1, count))
    under_way = {next(waiting) for _ in range(63)}
    for n in under_way:
        client.send(wire.write(n, handle, n * size, bytes([n % 251]) * size))
    assert not await client.replies()
    client.send(wire.write(count, handle, 0, bytes(size)))
    answered = 0
    while answered < count:
        told = await client.replies()
        assert told
        for reply in told:
            assert reply.code == 0
            answered += 1
            if (n := next(waiting, None)) is not None:
                client.send(wire.write(n, handle, n * size, bytes([n % 251]) * size))
    assert (await client.ask(wire.close(count + 1, handle))).code == 0
    assert bytes(client.directory.files["a"].data) == b"".join(bytes([n % 251]) * size for n in range(count))


async def test_a_cut_put_is_told_by_its_size(client: Client) -> None:
    handle = await client.open("a", PUT)
    for n in range(2):
        await client.ask(wire.write(2, handle, n * 261120, bytes(261120)))
    await client.ask(wire.close(3, handle))
    assert client.reception.settled == 600.0


@pytest.mark.parametrize(
    ("version", "software", "seconds"), [(6, "OpenSSH_9.2p1", 600.0), (6, "WinSCP", 5.0), (3, "OpenSSH_9.2p1", 5.0)]
)
async def test_what_lftp_closes_without_having_set_its_time_was_cut(version: int, software: str, seconds: float) -> None:
    client = Client()
    client.channel.client_version = software
    client.session.connection_made(client.channel)
    client.send(struct.pack(">IBI", 5, 1, version))
    assert (await client.replies())[0].kind == 2
    await client.put("cut", b"some")
    assert client.reception.settled == seconds
    handle = await client.open("whole", PUT)
    await client.ask(wire.write(2, handle, 0, b"some"))
    assert (await client.ask(wire.packet(10, 3, wire.string(handle), wire.attributes(times=(5, 5))))).code == 0
    await client.ask(wire.close(4, handle))
    assert client.reception.settled == 5.0


async def test_openssh_is_told_a_final_refusal_on_standard_error_once(client: Client) -> None:
    client.channel.client_version = "OpenSSH_9.2p1"
    client.session.connection_made(client.channel)
    for number in range(3):
        refused = await client.ask(wire.packet(14, number, wire.string("from-support/a"), wire.NO_ATTRIBUTES))
        assert refused.code == replies.PERMISSION_DENIED
        assert (await client.ask(wire.packet(17, number, wire.string("missing")))).code == replies.NO_SUCH_FILE
    assert client.channel.explained.decode() == f"{ReadOnly.detail} {ReadOnly.remedy}\n"


async def test_others_read_the_sentence_in_the_status(client: Client) -> None:
    refused = await client.ask(wire.packet(14, 1, wire.string("from-support/a"), wire.NO_ATTRIBUTES))
    assert ReadOnly.detail in refused.message
    assert not client.channel.explained


async def test_a_file_with_a_temporary_name_waits_for_its_rename(client: Client) -> None:
    await client.put("a.filepart", b"hello")
    assert client.reception.settled is None


async def test_a_resume_goes_on_from_what_is_stored(client: Client) -> None:
    client.directory.files["a"] = StoredFile(bytearray(b"hello "))
    handle = await client.open("a", WRITE | CREATE)
    assert (await client.ask(wire.packet(8, 2, wire.string(handle)))).facts["size"] == 6
    assert (await client.ask(wire.write(3, handle, 6, b"world"))).code == 0
    await client.ask(wire.close(4, handle))
    assert bytes(client.directory.files["a"].data) == b"hello world"


async def test_flags_are_passed_on(client: Client) -> None:
    assert (await client.ask(wire.open_file(1, "a", WRITE))).code == replies.NO_SUCH_FILE
    await client.put("a", b"x")
    assert (await client.ask(wire.open_file(1, "a", WRITE | CREATE | EXCLUSIVE))).code == replies.FAILURE
    handle = await client.open("a", WRITE | APPEND | CREATE)
    await client.ask(wire.write(2, handle, 0, b"y"))
    assert bytes(client.directory.files["a"].data) == b"xy"
    assert (await client.ask(wire.open_file(1, "a", CREATE))).code == replies.PERMISSION_DENIED
    assert (await client.ask(wire.open_file(1, "/", PUT))).code == replies.PERMISSION_DENIED
    assert (await client.ask(wire.open_file(1, "from-support/a", PUT))).code == replies.PERMISSION_DENIED


async def test_a_closed_case_is_told_for_good(client: Client) -> None:
    client.directory.fail_with = CaseClosed()
    reply = await client.ask(wire.open_file(1, "a", PUT))
    assert reply.code == replies.PERMISSION_DENIED
    assert "Reopen" in reply.message


async def test_fsync_commits(client: Client) -> None:
    handle = await client.open("a", PUT)
    assert (await client.ask(wire.extended(2, "fsync@openssh.com", wire.string(handle)))).code == 0
    assert client.reception.commits == 1


async def test_a_writer_that_is_displaced_is_told_at_its_next_request(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.reception.displaced.set()
    reply = await client.ask(wire.write(2, handle, 0, b"x"))
    assert reply.code == replies.PERMISSION_DENIED
    assert WriterDisplaced.detail in reply.message
    assert (await client.ask(wire.close(3, handle))).code == replies.PERMISSION_DENIED
    assert client.reception.settled is False


# Endings


@pytest.mark.parametrize("ending", ["lost", "eof", "cut", "garbage"])
async def test_no_ending_but_close_settles_a_file(client: Client, ending: str) -> None:
    handle = await client.open("a", PUT)
    await client.ask(wire.write(2, handle, 0, b"hello"))
    match ending:
        case "lost":
            client.session.connection_lost(ConnectionResetError())
        case "eof":
            assert client.session.eof_received()
        case "cut":
            client.session.cut(SignInRefused())
        case "garbage":
            client.send(bytes(4))
    await client.host.settle()
    assert client.reception.released
    assert client.reception.settled is False
    assert bytes(client.directory.files["a"].data) == b"hello"
    assert client.host.ended == 1
    assert (client.channel.exited == 0) == (ending == "eof")


async def test_a_close_that_arrived_counts_though_the_connection_is_gone(client: Client) -> None:
    handle = await client.open("a", PUT)
    fsync = wire.extended(3, "fsync@openssh.com", wire.string(handle))
    client.send(wire.write(2, handle, 0, b"hello") + fsync + wire.close(4, handle))
    client.session.connection_lost(None)
    await client.host.settle()
    assert client.reception.settled == 5.0


async def test_a_close_that_was_kept_while_nothing_was_read_counts_too(client: Client) -> None:
    slow, handle = await client.open("slow", PUT), await client.open("a", PUT)
    gate = client.directory.receptions[0].gate = asyncio.Event()
    client.send(wire.close(2, slow))
    for number in range(8):
        client.send(wire.write(3, handle, 32_768 * number, bytes(32_768)))
    client.send(wire.close(4, handle))
    assert client.channel.pauses == 1
    client.session.connection_lost(ConnectionResetError())
    gate.set()
    await client.host.settle()
    assert [reception.settled is False for reception in client.directory.receptions] == [False, False]
    assert len(client.directory.files["a"].data) == 8 * 32_768


async def test_half_a_close_is_none(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.send(wire.write(2, handle, 0, b"hello") + wire.close(4, handle)[:-1])
    client.session.connection_lost(None)
    await client.host.settle()
    assert client.reception.settled is False


async def test_a_cut_refuses_what_waits_with_a_sentence_and_carries_out_nothing_more(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.reception.gate = asyncio.Event()
    other = wire.open_file(5, "b", PUT)
    client.send(wire.close(2, handle) + wire.write(3, b"none", 0, b"x") + other)
    await asyncio.sleep(0.01)
    client.session.cut(SignInRefused("The temporary account expired.", "Ask for a new one."))
    assert not client.host.ended
    client.reception.gate.set()
    answers = await client.replies()
    assert [(answer.id, answer.code) for answer in answers] == [(2, 3), (3, 3), (5, 3)]
    assert all("expired" in answer.message for answer in answers)
    client.send(other)
    assert [(answer.id, answer.code) for answer in await client.replies()] == [(5, 3)]
    client.session.pause_writing()
    for _ in range(30):
        client.send(wire.write(1, b"none", 0, bytes(100_000)))
    assert client.session._parser.available < 2 * 2**20
    assert not await client.replies()
    assert "b" not in client.directory.files
    assert client.host.ended == 1


async def test_end_of_file_is_heard_after_everything_before_it(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.reception.gate = asyncio.Event()
    client.send(wire.close(2, handle))
    client.session.eof_received()
    await asyncio.sleep(0.01)
    assert client.channel.exited is None
    client.reception.gate.set()
    (closed,) = await client.replies()
    assert closed.code == 0
    assert client.channel.exited == 0


# Back-pressure


async def test_a_full_reception_stops_the_reading_and_keeps_the_order(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.reception.full = True
    client.reception.gate = asyncio.Event()
    block = bytes(50_000)
    client.send(wire.write(2, handle, 0, block))
    for n in range(1, 60):
        client.send(wire.write(2 + n, handle, n * 50_000, block))
    assert len(client.directory.files["a"].data) == 50_000
    assert not client.channel.reading
    assert client.session._parser.available < 200_000
    client.reception.gate.set()
    answers = await client.replies()
    assert [answer.id for answer in answers] == [2 + n for n in range(60)]
    assert len(client.directory.files["a"].data) == 60 * 50_000
    assert client.channel.reading


@pytest.mark.parametrize("piece", [32 * 1024, 96 * 1024, 200 * 1024])
async def test_reading_goes_on_though_the_better_part_of_a_packet_waits(client: Client, piece: int) -> None:
    handle = await client.open("a", PUT)
    block = bytes(255 * 1024)
    stream = b"".join(wire.write(2 + n, handle, n * len(block), block) for n in range(8))
    client.reception.full = True
    client.reception.gate = asyncio.Event()
    for start in range(0, len(stream), piece):
        client.send(stream[start : start + piece])
    assert not client.channel.reading
    client.reception.gate.set()
    assert len(await client.replies()) == 8
    assert client.channel.reading
    assert len(client.directory.files["a"].data) == 8 * len(block)


async def test_what_goes_wrong_while_a_reception_was_full_is_told_to_the_next_write(client: Client) -> None:
    handle = await client.open("a", PUT)
    reception = client.reception
    reception.full = True

    async def ready() -> None:
        raise StorageFull

    reception.ready = ready
    assert (await client.ask(wire.write(2, handle, 0, b"x"))).code == 0
    assert (await client.ask(wire.write(3, handle, 1, b"x"))).code == replies.PERMISSION_DENIED


async def test_a_peer_that_does_not_take_replies_gets_no_more_work_done(client: Client) -> None:
    client.directory.files["a"] = StoredFile(bytearray(4 * 2**20))
    handle = await client.open("a", READ)
    await client.ask(wire.read(2, handle, 0, 2**32 - 1))
    client.session.pause_writing()
    client.send(b"".join(wire.read(10 + n, handle, 0, 255 * 1024) for n in range(100)))
    assert not await client.replies()
    client.session.resume_writing()
    await client.host.settle()
    assert len(await client.replies()) == 100


async def test_a_congested_connection_stops_the_session_too(client: Client) -> None:
    client.host.congested = True
    client.send(wire.packet(16, 5, wire.string(".")))
    assert not await client.replies()
    client.host.congested = False
    client.session.proceed()
    assert len(await client.replies()) == 1


async def test_a_peer_that_goes_on_sending_without_taking_replies_is_read_no_more(client: Client) -> None:
    """By its channel, which keeps no more than its window; the connection is, as that says when the peer takes more."""
    client.session.pause_writing()
    for number in range(30):
        client.send(wire.write(number, b"none", 0, bytes(100_000)))
    assert client.session._parser.available <= session_module.READ_PAUSE + 100_100
    assert not client.host.held
    assert not client.host.disconnected
    client.session.resume_writing()
    assert [answer.id for answer in await client.replies()] == list(range(30))
    assert client.channel.reading


async def test_a_connection_that_was_held_is_heard_when_its_peer_takes_no_more(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.reception.gate = asyncio.Event()
    client.send(wire.close(2, handle))
    client.send(b"".join(wire.packet(16, 10 + n, wire.string("x" * 4000)) for n in range(100)))
    assert client.host.held == {client.session}
    client.session.pause_writing()
    assert not client.host.held
    client.reception.gate.set()
    client.session.resume_writing()
    assert len(await client.replies()) == 101


async def test_a_slow_request_lets_only_little_wait(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.reception.gate = asyncio.Event()
    client.send(wire.close(2, handle))
    for n in range(100):
        client.send(wire.packet(16, 10 + n, wire.string("x" * 4000)))
    assert client.session._parser.available <= session_module.READ_PAUSE + 4096
    assert client.host.held == {client.session}
    client.reception.gate.set()
    assert [answer.id for answer in await client.replies()] == [2, *range(10, 110)]
    assert not client.host.held


# Downloads


async def test_a_file_is_read_back(client: Client) -> None:
    data = bytes(n % 251 for n in range(1_500_000))
    client.directory.files["a"] = StoredFile(bytearray(data))
    handle = await client.open("a", READ)
    position, read = 0, bytearray()
    while True:
        reply = await client.ask(wire.read(2, handle, position, 32768))
        if reply.kind == 101:
            assert reply.code == replies.EOF
            break
        read += reply.data
        position += len(reply.data)
    assert read == data
    assert len(client.directory.contents[0].reads) <= 4
    assert (await client.ask(wire.close(3, handle))).code == 0
    assert client.directory.contents[0].closed


async def test_pipelined_reads_of_every_size_are_short_only_at_the_end(client: Client) -> None:
    data = bytes(n % 251 for n in range(1_700_123))
    client.directory.files["a"] = StoredFile(bytearray(data))
    handle = await client.open("a", READ)
    for size in (255 * 1024, 100_000, 65536, 1000):
        offsets = list(range(0, len(data), size))[:200]
        client.send(b"".join(wire.read(n, handle, offset, size) for n, offset in enumerate(offsets)))
        answers = await client.replies()
        assert [answer.data for answer in answers] == [data[offset : offset + size] for offset in offsets]


async def test_a_reader_that_jumps_gets_what_it_asks_for_and_no_more(client: Client) -> None:
    data = bytes(n % 251 for n in range(3_000_000))
    client.directory.files["a"] = StoredFile(bytearray(data))
    handle = await client.open("a", READ)
    for offset in (2_000_000, 5, 1_000_000, 0, 2_999_990, 700_000):
        assert (await client.ask(wire.read(2, handle, offset, 100))).data == data[offset : offset + 100]
    reads = client.directory.contents[0].reads
    assert sum(stop - start for start, stop in reads if start) < 600_000


async def test_two_files_read_in_turns_are_both_right(client: Client) -> None:
    first, second = (bytes(n % k for n in range(700_000)) for k in (251, 241))
    client.directory.files["a"], client.directory.files["b"] = StoredFile(bytearray(first)), StoredFile(bytearray(second))
    one, two = await client.open("a", READ), await client.open("b", READ)
    for offset in range(0, 700_000, 70_000):
        assert (await client.ask(wire.read(2, one, offset, 70_000))).data == first[offset : offset + 70_000]
        assert (await client.ask(wire.read(3, two, offset, 70_000))).data == second[offset : offset + 70_000]


async def test_a_read_is_clamped_and_what_is_read_ahead_is_bounded(client: Client) -> None:
    client.directory.files["a"] = StoredFile(bytearray(10 * 2**20))
    handle = await client.open("a", READ)
    assert len((await client.ask(wire.read(2, handle, 0, 2**32 - 1))).data) == 255 * 1024
    assert sum(stop - start for start, stop in client.directory.contents[0].reads) <= 2 * 512 * 1024


async def test_a_failed_read_ahead_is_told_when_it_is_asked_for(client: Client) -> None:
    client.directory.files["a"] = StoredFile(bytearray(2**20))
    handle = await client.open("a", READ)
    content = client.directory.contents[0]
    assert (await client.ask(wire.read(2, handle, 0, 255 * 1024))).data

    async def fail(start: int, stop: int) -> bytes:
        raise StorageFailed

    content.read = fail  # type: ignore[method-assign]
    assert (await client.ask(wire.read(3, handle, 255 * 1024, 255 * 1024))).data
    assert (await client.ask(wire.read(4, handle, 510 * 1024, 255 * 1024))).code == replies.FAILURE


async def test_reading_what_is_open_for_writing_is_refused_and_the_other_way_round(client: Client) -> None:
    writing = await client.open("a", PUT)
    reading = await client.open("a", READ)
    assert (await client.ask(wire.read(2, writing, 0, 10))).code == replies.PERMISSION_DENIED
    assert (await client.ask(wire.write(2, reading, 0, b"x"))).code == replies.PERMISSION_DENIED
    assert (await client.ask(wire.packet(12, 2, wire.string(reading)))).code == replies.PERMISSION_DENIED
    assert (await client.ask(wire.read(2, b"none", 0, 10))).code == replies.PERMISSION_DENIED


# Names and facts


async def test_realpath_answers_for_names_that_do_not_exist(client: Client) -> None:
    for raw, path in ((".", "/"), ("a/../b/./c", "/b/c"), ("/../..", "/"), ("nothing", "/nothing")):
        assert [name for name, _, _ in (await client.ask(wire.packet(16, 2, wire.string(raw)))).names] == [path]


async def test_a_directory_is_listed_to_its_end(client: Client) -> None:
    for number in range(250):
        client.directory.files[f"file {number:03d}"] = StoredFile(bytearray(number))
    handle = (await client.ask(wire.packet(11, 2, wire.string("/")))).handle
    found = []
    while (reply := await client.ask(wire.packet(12, 3, wire.string(handle)))).kind == 104:
        found += reply.names
    assert reply.code == replies.EOF
    assert [name for name, _, _ in found] == [*(f"file {n:03d}" for n in range(250)), "from-support"]
    name, long_name, facts = found[7]
    assert (facts["size"], facts["mode"]) == (7, 0o100600)
    assert facts["mtime"] == int(datetime(2026, 1, 2, 3, 4, tzinfo=UTC).timestamp())
    assert long_name.startswith("-rw-------")
    assert long_name.endswith(name)
    assert found[-1][2]["mode"] == 0o040500
    assert (await client.ask(wire.close(4, handle))).code == 0


async def test_directories_are_made_removed_and_renamed(client: Client) -> None:
    assert (await client.ask(wire.packet(14, 2, wire.string("/d"), wire.NO_ATTRIBUTES))).code == 0
    assert (await client.ask(wire.packet(14, 2, wire.string("/d"), wire.NO_ATTRIBUTES))).code == replies.FAILURE
    await client.put("d/a", b"x")
    assert (await client.ask(wire.packet(15, 2, wire.string("d")))).code == replies.FAILURE
    assert (await client.ask(wire.packet(18, 2, wire.string("d"), wire.string("e")))).code == 0
    assert (await client.ask(wire.packet(13, 2, wire.string("e/a")))).code == 0
    assert (await client.ask(wire.packet(15, 2, wire.string("e")))).code == 0
    assert client.directory.directories == {"", "from-support"}


async def test_rename_does_not_replace_and_posix_rename_does(client: Client) -> None:
    await client.put("a", b"old")
    await client.put("b", b"new")
    assert (await client.ask(wire.packet(18, 2, wire.string("b"), wire.string("a")))).code == replies.FAILURE
    posix = wire.extended(2, "posix-rename@openssh.com", wire.string("b"), wire.string("a"))
    assert (await client.ask(posix)).code == 0
    assert bytes(client.directory.files["a"].data) == b"new"


@pytest.mark.parametrize(
    "packet",
    [
        wire.packet(15, 2, wire.string("/")),
        wire.packet(13, 2, wire.string("a/..")),
        wire.packet(18, 2, wire.string("/"), wire.string("b")),
        wire.packet(18, 2, wire.string("b"), wire.string("..")),
        wire.packet(14, 2, wire.string("from-support/x")),
        wire.packet(13, 2, wire.string("from-support/x")),
        wire.packet(13, 2, wire.string("x/../from-support/x")),
    ],
)
async def test_the_top_and_what_is_from_support_stay_as_they_are(client: Client, packet: bytes) -> None:
    assert (await client.ask(packet)).code == replies.PERMISSION_DENIED


async def test_the_size_of_a_file_is_what_was_received(client: Client) -> None:
    handle = await client.open("a", PUT)
    await client.ask(wire.write(2, handle, 0, b"hello"))
    for packet in (
        wire.packet(8, 3, wire.string(handle)),
        wire.packet(17, 3, wire.string("/a")),
        wire.packet(7, 3, wire.string("a")),
    ):
        assert (await client.ask(packet)).facts["size"] == 5


async def test_times_are_kept_and_owners_and_modes_mean_nothing(client: Client) -> None:
    await client.put("a", b"x")
    at = int(datetime(2020, 5, 17, tzinfo=UTC).timestamp())
    settings = wire.attributes(mode=0o777, times=(at, at))
    assert (await client.ask(wire.packet(9, 2, wire.string("a"), settings))).code == 0
    assert (await client.ask(wire.packet(17, 2, wire.string("a")))).facts == {"size": 1, "mode": 0o100600, "mtime": at}
    assert (await client.ask(wire.packet(9, 2, wire.string("b"), settings))).code == replies.NO_SUCH_FILE


async def test_the_time_of_an_open_file_is_kept(client: Client) -> None:
    handle = await client.open("a", PUT)
    at = int(datetime(2020, 5, 17, tzinfo=UTC).timestamp())
    assert (await client.ask(wire.packet(10, 2, wire.string(handle), wire.attributes(times=(at, at))))).code == 0
    assert (await client.ask(wire.packet(8, 2, wire.string(handle)))).facts["mtime"] == at
    await client.ask(wire.close(3, handle))
    assert (await client.ask(wire.packet(17, 2, wire.string("a")))).facts["mtime"] == at


async def test_a_size_can_be_set_to_what_it_is_and_an_open_file_be_cut(client: Client) -> None:
    handle = await client.open("a", PUT)
    for size, code in ((0, 0), (5, replies.PERMISSION_DENIED)):
        assert (await client.ask(wire.packet(10, 2, wire.string(handle), wire.attributes(size=size)))).code == code
    await client.ask(wire.write(2, handle, 0, b"hello"))
    for size, code in ((5, 0), (6, replies.PERMISSION_DENIED), (3, 0), (5, replies.PERMISSION_DENIED)):
        assert (await client.ask(wire.packet(10, 2, wire.string(handle), wire.attributes(size=size)))).code == code
    await client.ask(wire.write(2, handle, 3, b"p!"))
    await client.ask(wire.close(2, handle))
    assert bytes(client.directory.files["a"].data) == b"help!"
    for size, code in ((5, 0), (3, replies.PERMISSION_DENIED)):
        assert (await client.ask(wire.packet(9, 2, wire.string("a"), wire.attributes(size=size)))).code == code


async def test_extensions_are_honest(client: Client) -> None:
    limits = await client.ask(wire.extended(2, "limits@openssh.com"))
    assert struct.unpack(">QQQQ", limits.body) == (256 * 1024, 255 * 1024, 255 * 1024, 8)
    for name, of in (("statvfs", "/"), ("fstatvfs", "a handle")):
        space = struct.unpack(">11Q", (await client.ask(wire.extended(2, f"{name}@openssh.com", wire.string(of)))).body)
        assert space[0] * space[2] == 100 * 2**30
        assert space[1] * space[4] == 60 * 2**30


async def test_links_and_what_is_unknown_are_refused(client: Client) -> None:
    for packet in (
        wire.packet(20, 2, wire.string("a"), wire.string("/etc/passwd")),
        wire.packet(19, 2, wire.string("a")),
        wire.packet(21, 2, wire.string("a"), wire.string("b")),
        wire.extended(2, "hardlink@openssh.com", wire.string("a"), wire.string("b")),
        wire.packet(99, 2),
    ):
        assert (await client.ask(packet)).code == replies.OP_UNSUPPORTED


async def test_names_that_cannot_be_are_refused_with_a_reason(client: Client) -> None:
    for raw in (b"a\0b", b"\xff", b"x" * 5000, b"x" * 300, b"a\\b", b"\n"):
        reply = await client.ask(wire.open_file(2, raw, PUT))
        assert reply.code == replies.PERMISSION_DENIED
        assert "Rename" in reply.message


async def test_names_that_look_odd_are_names(client: Client) -> None:
    for name in ("-rf", "CON", "😀", "שלום", "a b", "x" * 255, "..a", "%2e%2e"):
        assert (await client.put(name, b"x")).code == 0
        assert name in client.directory.files


async def test_handles_are_limited_and_never_used_twice(client: Client) -> None:
    client.directory.files["a"] = StoredFile(bytearray(b"x"))
    handles = [await client.open("a", READ) for _ in range(8)]
    assert len(set(handles)) == 8
    assert (await client.ask(wire.open_file(1, "a", READ))).code == replies.FAILURE
    assert (await client.ask(wire.packet(11, 1, wire.string("/")))).code == replies.FAILURE
    assert (await client.ask(wire.close(1, handles[0]))).code == 0
    assert await client.open("a", READ) not in handles
    assert (await client.ask(wire.close(1, handles[0]))).code == replies.PERMISSION_DENIED


async def test_what_nobody_thought_of_is_told_and_logged_and_the_session_goes_on(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(case_id: str, path: str) -> object:
        raise RuntimeError("secret detail")

    client.directory.stat = broken  # type: ignore[assignment,method-assign]
    reply = await client.ask(wire.packet(17, 2, wire.string("a")))
    assert reply.code == replies.FAILURE
    assert "secret" not in reply.message
    assert "sftp.request_failed" in caplog.messages
    assert (await client.ask(wire.packet(16, 3, wire.string("a")))).names


async def test_a_file_that_is_renamed_while_it_is_open_goes_on_under_its_new_name(client: Client) -> None:
    handle = await client.open("a.part", PUT)
    await client.ask(wire.write(2, handle, 0, b"hello"))
    assert (await client.ask(wire.packet(18, 3, wire.string("a.part"), wire.string("a")))).code == 0
    assert client.reception.commits == 1
    await client.ask(wire.close(4, handle))
    assert client.reception.settled == 5.0


def test_long_names_show_no_user_and_no_locale() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    recent = replies.long_name("a b", replies.Facts(5, now - timedelta(days=3)), now)
    old = replies.long_name("d", replies.Facts(0, now - timedelta(days=300), directory=True), now)
    assert recent == "-rw-------    1 eft      eft                 5 Nov 20 12:00 a b"
    assert old == "drwx------    1 eft      eft                 0 Jan 27  2026 d"
