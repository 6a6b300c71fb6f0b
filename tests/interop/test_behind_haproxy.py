"""A gateway behind HAProxy, in TCP and in HTTP mode, with the settings that docs/proxies.md prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.behind_proxies import (
    Customer,
    Program,
    Proxy,
    customer_cuts_and_resumes,
    customer_is_known_and_cannot_pretend,
    customer_reaches_no_other_host,
    customer_sends_a_checksum_in_a_trailer,
    customer_uploads_with_tuspy,
    documented,
    gateway_behind,
    in_front_of,
    interim_answers,
    places,
    put_in,
)

pytestmark = pytest.mark.needs("haproxy", "curl")

_PROXY = "127.0.0.2"
"""Where HAProxy connects from, so that the tests' own calls are no proxy's."""


@pytest.fixture(scope="module", params=["TCP", "HTTP"])
def haproxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, program: Program) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("haproxy")
    in_tcp = request.param == "TCP"
    settings = [f'proxy_protocol_from = ["{_PROXY}"]']
    if not in_tcp:
        settings = [f'trusted_proxies = ["{_PROXY}"]', "proxies_pass_interim_answers = true"]
    gateway = gateway_behind(directory / "us", *settings)
    here = places(directory / "haproxy")
    server = f"server us1 127.0.0.1:{gateway.https_port} source {_PROXY}"
    changed = {"bind :443": f"bind 127.0.0.1:{here.port}", "server us1 127.0.0.1:8441": server}
    if not in_tcp:
        changed |= {"/etc/eft/proxy-chain-and-key.pem": str(here.both), "/etc/eft/ca.pem": str(gateway.ca)}
    config = here.directory / "haproxy.cfg"
    config.write_text(put_in(documented(f"HAProxy, {request.param} mode"), **changed))
    ca = gateway.ca if in_tcp else None
    with in_front_of(gateway, [program("haproxy"), "-db", "-f", str(config)], here, ca=ca) as proxy:
        yield proxy


@pytest.fixture
def customer(haproxy: Proxy, program: Program) -> Customer:
    return Customer(haproxy, program("curl"))


def test_nothing_is_held_back_and_a_cut_upload_goes_on(customer: Customer, tmp_path: Path) -> None:
    customer_cuts_and_resumes(customer, tmp_path)


def test_tuspy_uploads_in_parts_with_checksums(customer: Customer) -> None:
    customer_uploads_with_tuspy(customer)


def test_the_customers_address_is_seen_and_cannot_be_invented(customer: Customer) -> None:
    customer_is_known_and_cannot_pretend(customer)


def test_no_other_host_is_answered_for(customer: Customer) -> None:
    customer_reaches_no_other_host(customer)


def test_a_checksum_in_a_trailer_arrives(customer: Customer) -> None:
    customer_sends_a_checksum_in_a_trailer(customer, arrives=True)


def test_interim_answers_arrive(customer: Customer) -> None:
    assert interim_answers(customer) == [104, 201]
