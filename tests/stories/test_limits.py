"""What an operator allows a token, a case, an address; and what a customer who wants more is told."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
import secrets

import pytest

from tests.fixtures.gateway import Gateway
from tests.stories.conftest import gateways
from tests.stories.contents import MIB, dense
from tests.stories.sftp_customer import sftp_customer
from tests.stories.tus_customer import Refused, TusCustomer, Upload, customer_of

_LIMITS = """
[uploads]
settle_s = 0.3
[limits]
upload_mib = 6
case_mib = 10
requests_per_minute_token = 40
uploads_at_once_case = 2
"""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateways(tmp_path_factory) as make:
        yield make(settings=_LIMITS).start()


@pytest.fixture
def customer(limited: Gateway) -> TusCustomer:
    return customer_of(limited, limited.open_case(f"CS-{secrets.token_hex(4)}"))


def refused(act: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value


def test_a_file_larger_than_allowed_is_refused_before_it_is_sent(customer: TusCustomer) -> None:
    told = refused(lambda: customer.create("a.log", 6 * MIB + 1))
    assert (told.status, told.code, told.problem["limit"]) == (413, "too-large", 6 * MIB)
    status, headers, _ = customer.request("OPTIONS", "/files")
    assert (status, headers["Tus-Max-Size"]) == (200, str(6 * MIB))


def test_a_case_takes_as_much_as_its_quota_and_says_what_to_do_then(customer: TusCustomer, tmp_path: Path) -> None:
    customer.send(Upload("a.log", dense(tmp_path / "a", 1, 5 * MIB)), part=2 * MIB)
    announced = customer.create("b.log", 4 * MIB)
    told = refused(lambda: customer.create("c.log", MIB + 1))
    assert (told.status, told.code) == (403, "case-full")
    assert (told.problem["quota"], told.problem["used"]) == (10 * MIB, 9 * MIB)
    assert "support" in told.problem["remedy"]
    assert refused(lambda: customer.create("c.log", MIB + 1, b"x" * 1000)).code == "case-full"
    customer.create("c.log", MIB)
    status, _, _ = customer.request("DELETE", announced)
    assert status == 204
    customer.send(Upload("d.log", dense(tmp_path / "d", 2, 4 * MIB)), part=4 * MIB)


def test_a_file_of_unknown_length_ends_at_the_quota_with_what_came_kept(customer: TusCustomer, tmp_path: Path) -> None:
    customer.send(Upload("a.log", dense(tmp_path / "a", 1, 6 * MIB)), part=2 * MIB)
    told = {"Upload-Defer-Length": "1", "Upload-Metadata": f"filename {b64encode(b'b.log').decode()}"}
    _, headers, _ = customer.request("POST", "/files", told)
    path = str(headers["Location"])
    assert customer.patch(path, 0, bytes(3 * MIB), 3 * MIB) == 3 * MIB
    assert refused(lambda: customer.patch(path, 3 * MIB, bytes(2 * MIB), 2 * MIB)).code == "case-full"
    assert 3 * MIB <= customer.offset(path) <= 4 * MIB


def test_a_whole_and_its_parts_count_once(customer: TusCustomer) -> None:
    paths = []
    for number in range(2):
        told = {"Upload-Length": str(3 * MIB), "Upload-Concat": "partial", "Content-Type": "application/offset+octet-stream"}
        status, headers, _ = customer.request("POST", "/files", told, bytes([number]) * 3 * MIB)
        assert status == 201
        paths.append(str(headers["Location"]))
    metadata = f"filename {b64encode(b'whole.log').decode()}"
    told = {"Upload-Concat": f"final;{paths[0]} {paths[1]}", "Upload-Metadata": metadata}
    assert customer.request("POST", "/files", told)[0] == 201
    customer.create("more.log", 4 * MIB)
    assert refused(lambda: customer.create("one.log", 1)).problem["used"] == 10 * MIB


@pytest.mark.needs("sftp")
def test_the_quota_holds_over_sftp_too(limited: Gateway, tmp_path: Path) -> None:
    case = limited.open_case(f"CS-{secrets.token_hex(4)}")
    customer_of(limited, case).send(Upload("a.log", dense(tmp_path / "a", 1, 6 * MIB)), part=6 * MIB)
    dense(tmp_path / "b", 2, 6 * MIB)
    sftp = sftp_customer(limited, case, tmp_path)
    said = sftp.run(f"put {tmp_path / 'b'} b.log")
    # OpenSSH's client has words of its own for the code, which is one that clients do not try again for ever.
    assert (said.code, "Permission denied" in said.text) == (1, True)
    assert [item["name"] for item in limited.attachments(case)] == ["a.log"]


def test_who_asks_too_often_is_told_when_to_come_again(limited: Gateway) -> None:
    customer = customer_of(limited, limited.open_case(f"CS-{secrets.token_hex(4)}"))
    for _ in range(40):
        assert customer.request("GET", "/files/" + "0" * 32)[0] == 404
    status, headers, body = customer.request("GET", "/files/" + "0" * 32)
    assert (status, b'"rate-limited"' in body) == (429, True)
    assert 1 <= int(headers["Retry-After"]) <= 2


def test_two_uploads_of_a_case_may_run_and_a_third_waits(limited: Gateway) -> None:
    case = limited.open_case(f"CS-{secrets.token_hex(4)}")
    customers = [customer_of(limited, case) for _ in range(3)]
    paths = [customer.create(f"{number}.log", 100) for number, customer in enumerate(customers)]
    running = []
    for customer, path in zip(customers, paths, strict=True):
        connection = customer._connect()
        connection.putrequest("PATCH", path)
        part = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream", "Content-Length": "100"}
        for name, value in {**customer._headers, **part}.items():
            connection.putheader(name, value)
        connection.endheaders(b"x" * 10)
        running.append(connection)
    third = running[2].getresponse()
    assert (third.status, third.headers["Retry-After"]) == (429, "5")
    for connection in running[:2]:
        connection.send(b"x" * 90)
        assert connection.getresponse().status == 204
        connection.close()
    running[2].close()
    assert customers[2].patch(paths[2], 0, bytes(100), 100) == 100
