"""TLS between the socket and a connection, on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
import random
import socket
import ssl
import subprocess
import time

import pytest
import uvloop

from eft.http_resumable.limits import Limits
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from eft.http_resumable.site import Site
from eft.http_resumable.tls import PARTIAL_BYTES, Tls
from tests.fixtures.tls import Certificates, MachineClock, RunningServer, running_server

Start = Callable[..., RunningServer]


async def count(request: Request) -> Response:
    """How many bytes came, and what they add up to."""
    total = size = 0
    async for piece in request.body:
        size += len(piece)
        total += sum(piece)
    return Response(200, (), f"{size} {total}".encode())


def told(body: bytes) -> str:
    return f"{len(body)} {sum(body)}"


def post(body: bytes, *, close: bool = False) -> bytes:
    end = "Connection: close\r\n" if close else ""
    return f"POST / HTTP/1.1\r\nHost: a\r\n{end}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def serve(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(handler: object = count, **limits: float) -> RunningServer:
            chosen = Limits(**{"sweep_s": 0.05, **limits})  # type: ignore[arg-type]
            return stack.enter_context(running_server(handler, certificates, chosen, new_loop=request.param))  # type: ignore[arg-type]

        yield start


class Client:
    """A client whose records are sent piece by piece, as the test likes, or changed on their way."""

    def __init__(self, server: RunningServer) -> None:
        self.raw = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = server.certificates.client_context().wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._until(self.tls.do_handshake)
        self.raw.sendall(self._outgoing.read())

    def records(self, content: bytes) -> bytes:
        view = memoryview(content)
        while view:
            view = view[self.tls.write(view) :]
        return self._outgoing.read()

    def answer(self) -> str:
        """The next answer's body, one that has no blank line in it."""
        got = b""
        while b"\r\n\r\n" not in got or not got.partition(b"\r\n\r\n")[2]:
            got += self._until(lambda: self.tls.read(65536))
        return got.partition(b"\r\n\r\n")[2].decode()

    def _until(self, step: Callable[[], object]) -> bytes:
        while True:
            try:
                return step()  # type: ignore[return-value]
            except ssl.SSLWantReadError:
                self.raw.sendall(self._outgoing.read())
                came = self.raw.recv(65536)
                if not came:
                    raise EOFError from None
                self._incoming.write(came)


def ended_within(client: socket.socket, seconds: float) -> bool:
    client.settimeout(seconds)
    try:
        while client.recv(65536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def test_records_may_be_cut_anywhere(serve: Start) -> None:
    body = random.Random(1).randbytes(300_000)
    client = Client(serve())
    with client.raw:
        sent = client.records(post(body))
        chance = random.Random(2)
        while sent:
            size = min(chance.choice([1, 2, 4, 5, 6, 100, 16_000, 16_405, 16_410, 60_000]), len(sent))
            client.raw.sendall(sent[:size])
            sent = sent[size:]
            time.sleep(0.001)
        assert client.answer() == told(body)


def test_tiny_records_and_full_ones_arrive_in_order(serve: Start) -> None:
    body = random.Random(3).randbytes(200_000)
    client = Client(serve())
    with client.raw:
        sent, at, chance = client.records(post(body)[: -len(body)]), 0, random.Random(4)
        while at < len(body):
            size = chance.choice([1, 2, 17, 900, 16_384, 40_000])
            sent += client.records(body[at : at + size])
            at += size
        client.raw.sendall(sent)
        assert client.answer() == told(body)


def test_what_comes_with_the_end_of_the_handshake_is_not_lost(serve: Start, certificates: Certificates) -> None:
    server = serve()
    body = random.Random(5).randbytes(50_000)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = certificates.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as raw:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65536))
        rest = memoryview(post(body))
        while rest:
            rest = rest[tls.write(rest) :]
        raw.sendall(outgoing.read())  # the client's Finished, and all of its request
        got = b""
        while not got.endswith(told(body).encode()):
            incoming.write(raw.recv(65536))
            try:
                got += tls.read(65536)
            except ssl.SSLWantReadError:
                continue


def test_a_changed_record_ends_the_connection(serve: Start) -> None:
    ended: list[str] = []

    async def note(request: Request) -> Response:
        try:
            return await count(request)
        except Exception as error:
            ended.append(type(error).__name__)
            raise

    client = Client(serve(note))
    with client.raw:
        client.raw.sendall(client.records(post(bytes(100_000))[:20_000]))
        changed = bytearray(client.records(bytes(1000)))
        changed[-1] ^= 1
        client.raw.sendall(changed)
        assert ended_within(client.raw, 60)
    deadline = time.monotonic() + 60
    while not ended and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ended == ["Disconnected"]


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x17\x03\x03\xff\xff", bytes(5), b"SSH-2.0-x\r\n"])
def test_what_is_no_tls_is_refused_at_once(serve: Start, junk: bytes) -> None:
    server = serve(handshake_s=120.0)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as raw:
        raw.sendall(junk)
        assert ended_within(raw, 60)


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", b"\x17\x03\x03\xff\xff", b"\x17\x03\x03\x00\x00" * 100])
def test_junk_after_the_handshake_ends_the_connection(serve: Start, junk: bytes) -> None:
    server = serve(head_s=120.0)
    client = Client(server)
    with client.raw:
        client.raw.sendall(junk)
        assert ended_within(client.raw, 60)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_a_handshake_that_fails_is_told_why(serve: Start) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    told_why = pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION")
    with socket.create_connection(("127.0.0.1", serve().port), timeout=60) as raw, told_why:
        context.wrap_socket(raw)


def test_a_connection_ends_with_a_goodbye(serve: Start, certificates: Certificates) -> None:
    raw = socket.create_connection(("127.0.0.1", serve().port), timeout=60)
    with certificates.client_context().wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False) as peer:
        peer.sendall(post(b"abc", close=True))
        while peer.recv(65536):  # raises SSLEOFError where it only breaks off
            pass


def test_a_peer_that_says_goodbye_has_gone(serve: Start) -> None:
    server = serve()
    client = Client(server)
    with client.raw:
        with pytest.raises((ssl.SSLWantReadError, ssl.SSLSyscallError)):
            client.tls.unwrap()
        client.raw.sendall(client._outgoing.read())
        assert ended_within(client.raw, 60)
    deadline = time.monotonic() + 60
    while server.server.connections and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.server.connections == 0


def test_the_client_chooses_the_cipher(serve: Start, certificates: Certificates) -> None:
    server = serve()
    chosen = []
    suites = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    for first in suites:
        context = certificates.client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(":".join(sorted(suites, key=lambda suite: suite != first)))
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        with context.wrap_socket(raw, server_hostname="localhost") as peer:
            used = peer.cipher()
            assert used is not None
            chosen.append(used[0])
    assert chosen == suites


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(("version", "command", "goes_on"), [("-tls1_3", "K", True), ("-tls1_2", "R", False)])
def test_new_keys_are_taken_and_a_new_handshake_is_not(serve: Start, version: str, command: str, goes_on: bool) -> None:
    server = serve()
    words = ["openssl", "s_client", "-connect", f"localhost:{server.port}", version, "-CAfile", str(server.certificates.ca)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 6\r\n\r\n"
        with suppress(BrokenPipeError):
            for line in (head, b"abc", command.encode() + b"\n", b"def"):
                client.stdin.write(line)
                client.stdin.flush()
                time.sleep(0.5)  # it takes a line for a command only where one read brings nothing else
        got = client.stdout.read().decode(errors="replace")
        with suppress(BrokenPipeError):
            client.stdin.close()
    assert ("KEYUPDATE" in got) if goes_on else ("RENEGOTIATING" in got)
    assert (told(b"abcdef") in got) is goes_on


class Below(asyncio.Transport):
    """A socket that notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.asked.append("close")
        self.closed = True

    def abort(self) -> None:
        self.asked.append("abort")
        self.closed = True

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")


class Above(asyncio.BufferedProtocol):
    def __init__(self, site: Site) -> None:
        self.site = site
        self.got: list[bytes] = []

    def buffer_updated(self, nbytes: int) -> None:
        self.got.append(bytes(self.site.buffer[:nbytes]))


class Pair:
    """Both ends in memory, after their handshake."""

    def __init__(self, certificates: Certificates) -> None:
        from eft.http_resumable.server import tls_context

        self.site = Site(handler=count, clock=MachineClock(), limits=Limits())
        self.above = Above(self.site)
        self.below = Below()
        context = tls_context(certificates.certificate, certificates.private_key)
        self.server = Tls(self.site, context, lambda: self.above, lambda: None)
        self.server.connection_made(self.below)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = certificates.client_context().wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        while True:
            try:
                self.client.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.give(self.outgoing.read())
                self.incoming.write(self.below.written)
                self.below.written = b""
        self.give(self.outgoing.read())

    def give(self, data: bytes) -> None:
        while data:
            room = self.server.get_buffer(-1)
            size = min(len(data), len(room))
            room[:size] = data[:size]
            self.server.buffer_updated(size)
            data = data[size:]

    def records(self, content: bytes) -> bytes:
        view = memoryview(content)
        while view:
            view = view[self.client.write(view) :]
        return self.outgoing.read()


def test_one_read_is_handed_on_in_one_piece(certificates: Certificates) -> None:
    pair = Pair(certificates)
    sent = random.Random(6).randbytes(200_000)
    pair.give(pair.records(sent))
    assert pair.above.got == [sent]


def test_every_cut_of_a_record_is_kept_until_the_rest_comes(certificates: Certificates) -> None:
    pair = Pair(certificates)
    for cut in (1, 2, 3, 4, 5, 6, 500, 1000):
        sent = random.Random(cut).randbytes(1000)
        records = pair.records(sent)
        pair.give(records[:cut])
        assert pair.above.got == []
        pair.give(records[cut:])
        assert pair.above.got == [sent]
        pair.above.got.clear()


def test_the_largest_read_fits_with_the_largest_part_of_a_record_before_it(certificates: Certificates) -> None:
    pair = Pair(certificates)
    sent = random.Random(7).randbytes(600_000)
    records = pair.records(sent)
    pair.give(records[:16_405])  # all but the last bytes of a record
    pair.give(records[16_405:])
    assert b"".join(pair.above.got) == sent
    assert len(pair.site.received) >= PARTIAL_BYTES + 256 * 1024
    assert len(pair.site.buffer) >= len(pair.site.received)


def test_whoever_pauses_stops_the_socket_and_a_goodbye_reads_on(certificates: Certificates) -> None:
    pair = Pair(certificates)
    pair.server.pause_reading()
    pair.server.pause_reading()
    assert pair.below.asked == ["pause"]
    pair.server.close()
    assert pair.below.asked == ["pause", "resume"]
    assert pair.server.is_closing()
    pair.give(pair.records(b"what nobody reads any more"))
    assert pair.above.got == []
    pair.incoming.write(pair.below.written)
    assert pair.client.read(1) == b""  # the goodbye
    pair.client.unwrap()
    pair.give(pair.outgoing.read())
    assert pair.below.asked == ["pause", "resume", "close"]


def test_what_is_written_after_the_goodbye_goes_nowhere(certificates: Certificates) -> None:
    pair = Pair(certificates)
    pair.server.write(b"seen")
    pair.server.close()
    before = len(pair.below.written)
    pair.server.write(b"not seen")
    assert len(pair.below.written) == before
    pair.incoming.write(pair.below.written)
    assert pair.client.read(100) == b"seen"


def test_answers_larger_than_a_slice_arrive_whole(certificates: Certificates) -> None:
    pair = Pair(certificates)
    pair.incoming.write(pair.below.written)
    pair.below.written = b""
    answer = random.Random(8).randbytes(300_001)
    pair.server.writelines([answer[:100], b"", answer[100:]])
    pair.incoming.write(pair.below.written)
    got = b""
    while len(got) < len(answer):
        got += pair.client.read(65536)
    assert got == answer
