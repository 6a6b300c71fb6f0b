"""What is believed of what proxies say."""

from __future__ import annotations

import pytest

from eft.http_resumable.headers import Headers
from eft.http_resumable.proxies import Networks, Origin, Proxies

TRUSTED = ["10.0.0.0/8", "fd00::/8", "192.0.2.1"]
PROXY = "10.0.0.1"


def x_for(*lines: str, peer: str = PROXY, **more: str) -> Origin:
    fields = [("X-Forwarded-For", line) for line in lines] + [(name.replace("_", "-"), value) for name, value in more.items()]
    return Proxies(TRUSTED).origin(peer, Headers(fields))


def forwarded(*lines: str, peer: str = PROXY) -> Origin:
    return Proxies(TRUSTED, forwarded=True).origin(peer, Headers([("Forwarded", line) for line in lines]))


def test_nobody_is_believed_where_no_proxy_is_listed() -> None:
    fields = Headers([("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-Host", "evil.example"), ("Forwarded", "for=1.1.1.1")])
    assert Proxies([]).origin(PROXY, fields) == Origin(PROXY)


def test_a_client_that_is_no_listed_proxy_is_not_believed() -> None:
    assert x_for("198.51.100.1", peer="203.0.113.9", X_Forwarded_Host="evil.example") == Origin("203.0.113.9")
    assert forwarded("for=198.51.100.1;host=evil.example", peer="203.0.113.9") == Origin("203.0.113.9")


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        (("198.51.100.1",), "198.51.100.1"),
        (("6.6.6.6, 198.51.100.1",), "198.51.100.1"),
        (("6.6.6.6", "198.51.100.1"), "198.51.100.1"),
        (("6.6.6.6, 198.51.100.1, 10.1.1.1, 192.0.2.1",), "198.51.100.1"),
        (("10.9.9.9, 10.1.1.1",), "10.9.9.9"),
        (("10.9.9.9, 198.51.100.1, 10.1.1.1",), "198.51.100.1"),
        (("198.51.100.1:4711",), "198.51.100.1"),
        (("[2001:db8::1]:4711",), "2001:db8::1"),
        (("2001:DB8:0::1",), "2001:db8::1"),
        (("::ffff:198.51.100.1",), "198.51.100.1"),
        (("198.51.100.1, unknown",), PROXY),
        (("198.51.100.1, unknown, 10.1.1.1",), "10.1.1.1"),
        (("198.51.100.1,",), PROXY),
        (("",), PROXY),
        ((), PROXY),
        (("999.1.1.1",), PROXY),
        (("1.2.3.4\t",), "1.2.3.4"),
        (("localhost",), PROXY),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_no_proxys(lines: tuple[str, ...], client: str) -> None:
    assert x_for(*lines).client == client


def test_a_long_chain_of_invented_entries_changes_nothing() -> None:
    assert x_for(", ".join(["10.1.1.1"] * 3000 + ["198.51.100.1"])).client == "198.51.100.1"


def test_a_peer_that_is_an_ipv4_address_in_ipv6_is_known() -> None:
    assert x_for("198.51.100.1", peer="::ffff:10.0.0.1").client == "198.51.100.1"


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        (("for=198.51.100.1",), "198.51.100.1"),
        (("For=198.51.100.1;proto=https;by=10.0.0.1",), "198.51.100.1"),
        (('for="[2001:db8::1]:4711"',), "2001:db8::1"),
        (('for="198.51.100.1:4711"',), "198.51.100.1"),
        (("for=6.6.6.6, for=198.51.100.1, for=10.1.1.1",), "198.51.100.1"),
        (("for=6.6.6.6", "for=198.51.100.1"), "198.51.100.1"),
        (("for=_hidden",), PROXY),
        (("for=198.51.100.1, for=unknown",), PROXY),
        (("by=10.0.0.1",), PROXY),
        (("for=198.51.100.1, for=",), PROXY),
        (('for="', "for=198.51.100.1"), "198.51.100.1"),
        (("for=198.51.100.1", 'for="'), PROXY),
        (("for=1.1.1.1;for=2.2.2.2",), PROXY),
        (('for="198.51.100.1, for=6.6.6.6',), PROXY),
        ((r'for="\198.51.100.1"',), "198.51.100.1"),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(lines: tuple[str, ...], client: str) -> None:
    assert forwarded(*lines).client == client


def test_the_kind_of_header_that_the_proxy_does_not_write_is_not_read() -> None:
    fields = Headers(
        [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Host", "six.example"), ("Forwarded", "for=7.7.7.7;host=seven")]
    )
    assert Proxies(TRUSTED).origin(PROXY, fields) == Origin("6.6.6.6", "six.example", interim=False)
    assert Proxies(TRUSTED, forwarded=True).origin(PROXY, fields) == Origin("7.7.7.7", "seven", interim=False)


def test_host_and_scheme_are_what_the_nearest_proxy_wrote() -> None:
    told = x_for("198.51.100.1", X_Forwarded_Host="evil.example, Gateway.Example:8441", X_Forwarded_Proto="https, http")
    assert told == Origin("198.51.100.1", "gateway.example", "http", interim=False)
    assert forwarded('for=1.1.1.1;host=evil.example, for=198.51.100.1;host="Gateway.Example:8441";proto=HTTP') == told


def test_a_forwarded_host_that_is_none_is_no_name_of_ours() -> None:
    assert x_for("198.51.100.1", X_Forwarded_Host="a b/c").host == "-"


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        Networks(["somewhere"])
    assert not Networks(["10.0.0.0/8"]).has("")


def test_interim_answers_go_to_proxies_that_are_said_to_hand_them_on_and_to_everybody_else() -> None:
    fields = Headers([("X-Forwarded-For", "198.51.100.1")])
    assert not Proxies(TRUSTED).origin(PROXY, fields).interim
    assert Proxies(TRUSTED, interim=True).origin(PROXY, fields).interim
    assert Proxies(TRUSTED).origin("203.0.113.9", fields).interim
