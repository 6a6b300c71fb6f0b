"""`eft keys receipt-key`, without a gateway running."""

from __future__ import annotations

import json

from tests.unit.cli.test_administration import Eft, answer, eft, host_keys

__all__ = ["eft", "host_keys"]


def test_the_keys_that_sign_receipts_are_shown_and_replaced(eft: Eft) -> None:
    eft("keys", "create")
    (first,) = answer(eft("keys", "receipt-key", "--json"))["keys"]
    assert (first["kty"], first["crv"], first["alg"]) == ("OKP", "Ed25519", "EdDSA")
    assert "d" not in first
    assert answer(eft("keys", "receipt-key", "--json"))["keys"] == [first]
    second, old = answer(eft("keys", "receipt-key", "--rotate", "--json"))["keys"]
    assert old == first
    assert second["kid"] != first["kid"]
    assert eft("keys", "receipt-key").stdout.splitlines()[0].endswith(", signs")
    assert json.loads(eft("keys", "check", "--json").stdout)["secrets"] == 1
