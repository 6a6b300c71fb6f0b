"""A gateway behind nginx, with the settings that docs/proxies.md prints."""

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

pytestmark = pytest.mark.needs("nginx", "curl")

_AROUND = """
daemon off;
pid {directory}/nginx.pid;
error_log stderr warn;
worker_processes 2;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{settings}
}}
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory, program: Program) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("nginx")
    gateway = gateway_behind(directory / "us", 'trusted_proxies = ["127.0.0.1"]')
    here = places(directory / "nginx")
    settings = put_in(
        documented("nginx"),
        **{
            "server 127.0.0.1:8441": f"server 127.0.0.1:{gateway.https_port}",
            "listen 443 ssl": f"listen 127.0.0.1:{here.port} ssl default_server",
            "/etc/eft/proxy.pem": str(here.certificate),
            "/etc/eft/proxy.key": str(here.key),
            "/etc/eft/ca.pem": str(gateway.ca),
        },
    )
    config = here.directory / "nginx.conf"
    config.write_text(_AROUND.format(directory=here.directory, settings=settings))
    with in_front_of(gateway, [program("nginx"), "-c", str(config), "-p", str(here.directory)], here) as proxy:
        yield proxy


@pytest.fixture
def customer(nginx: Proxy, program: Program) -> Customer:
    return Customer(nginx, program("curl"))


def test_nothing_is_held_back_and_a_cut_upload_goes_on(customer: Customer, tmp_path: Path) -> None:
    customer_cuts_and_resumes(customer, tmp_path)


def test_tuspy_uploads_in_parts_with_checksums(customer: Customer) -> None:
    customer_uploads_with_tuspy(customer)


def test_the_customers_address_is_seen_and_cannot_be_invented(customer: Customer) -> None:
    customer_is_known_and_cannot_pretend(customer)


def test_no_other_host_is_answered_for(customer: Customer) -> None:
    customer_reaches_no_other_host(customer)


def test_a_checksum_in_a_trailer_is_missed_and_the_part_refused(customer: Customer) -> None:
    customer_sends_a_checksum_in_a_trailer(customer, arrives=False)


def test_no_interim_answer_makes_nginx_wait_for_ever(customer: Customer) -> None:
    assert interim_answers(customer) == [201]
