"""A download through a real portal, while its gateway is killed and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
import re
import socket

import httpx
import pytest

from tests.fixtures.gateway import Gateway
from tests.fixtures.portal import CUSTOMER, ORGANISATION, Portal
from tests.stories.contents import MIB, dense

SIZE = 24 * MIB
CASE = "CS-9"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Portal, Gateway]]:
    directory = tmp_path_factory.mktemp("both")
    gateway = Gateway(directory / "us")
    portal = Portal(directory / "portal", [gateway])
    try:
        gateway.start()
        yield portal.start(), gateway
    finally:
        portal.stop()
        gateway.stop()


def browser(portal: Portal) -> httpx.Client:
    """Signed in as the customer. It takes little at a time, so that what it did not take waits with the gateway."""
    transport = httpx.HTTPTransport(verify=portal.trust(), socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)])
    client = httpx.Client(base_url=portal.url, transport=transport, timeout=90)
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/sign-in").text)
    assert found is not None
    told = client.post("/sign-in", data={"csrf": found[1], "email": CUSTOMER[0], "password": CUSTOMER[2]})
    assert told.status_code == 303
    return client


def sent(gateway: Gateway, work: Path, name: str) -> tuple[str, str]:
    """The id and the digest of a file of the case."""
    file = dense(work / name, 7, SIZE)
    gateway.call("PUT", f"cases/{CASE}", {"organisation": ORGANISATION, "subject": "A case", "status": "open"})
    made = gateway.call("POST", f"cases/{CASE}/attachments?name={name}", file.path.read_bytes())
    return made["id"], made["sha256"]


def restarted(gateway: Gateway) -> None:
    gateway.kill()
    gateway.start()


def test_a_download_goes_on_when_the_gateway_comes_back(both: tuple[Portal, Gateway], tmp_path: Path) -> None:
    portal, gateway = both
    identifier, digest = sent(gateway, tmp_path, "whole.bin")
    got = sha256()
    with closing(browser(portal)) as client, client.stream("GET", f"/cases/{CASE}/attachments/{identifier}") as answer:
        assert answer.headers["content-length"] == str(SIZE)
        for number, piece in enumerate(answer.iter_raw(MIB)):
            got.update(piece)
            if number == 2:
                restarted(gateway)
    assert got.hexdigest() == digest


def test_a_download_of_what_was_deleted_meanwhile_ends_short(both: tuple[Portal, Gateway], tmp_path: Path) -> None:
    portal, gateway = both
    identifier, _ = sent(gateway, tmp_path, "deleted.bin")
    whole, got = (tmp_path / "deleted.bin").read_bytes(), bytearray()
    with closing(browser(portal)) as client, client.stream("GET", f"/cases/{CASE}/attachments/{identifier}") as answer:
        assert answer.headers["content-length"] == str(SIZE)
        pieces = answer.iter_raw()
        got += next(pieces)
        gateway.call("DELETE", f"attachments/{identifier}")
        restarted(gateway)
        with pytest.raises(httpx.RemoteProtocolError):
            for piece in pieces:
                got += piece
    assert len(got) < SIZE
    assert whole.startswith(bytes(got))
