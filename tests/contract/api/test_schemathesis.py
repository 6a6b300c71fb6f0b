"""The control API does what its own `openapi.json` says, whatever it is sent: every status, type and body is in there."""

from __future__ import annotations

from collections.abc import Callable
import json
from typing import Any
import urllib.request

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
import requests
import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fixtures.gateway import Gateway

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
BOUNDED = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBC3p9K6PIVeDPoG4szLLweg9NsbOr633YJtEdC5R9no"

Change = Callable[[schemathesis.Case], None]


def description(gateway: Gateway) -> Any:
    with urllib.request.urlopen(f"{gateway.url}/api/v1/openapi.json", context=gateway.trust()) as answer:
        return json.load(answer)


def check_every_call(gateway: Gateway, change: st.SearchStrategy[Change]) -> dict[str, set[int]]:
    """The statuses that each call was answered with. Fails with all that was not as described."""
    schema = schemathesis.openapi.from_dict(description(gateway))
    schema.config.update(base_url=gateway.url)
    answered: dict[str, set[int]] = {}
    with requests.Session() as session:
        session.verify = str(gateway.ca)
        session.headers["Authorization"] = f"Bearer {gateway.api_token}"
        operations = [found.ok() for found in schema.get_all_operations()]
        for operation in sorted(operations, key=lambda each: each.method == "delete"):
            answered[operation.label] = statuses_of(session, operation, change)
    return answered


def statuses_of(session: requests.Session, operation: Any, change: st.SearchStrategy[Change]) -> set[int]:
    statuses = set()

    @BOUNDED
    @given(case=operation.as_strategy(), changed=change)
    def ask(case: schemathesis.Case, changed: Change) -> None:
        changed(case)
        response = case.call(session=session, verify=session.verify)
        statuses.add(response.status_code)
        assert str(response.status_code) in operation.definition.raw["responses"]
        case.validate_response(response, checks=CHECKS)

    ask()
    return statuses


def test_whatever_is_sent_is_answered_as_described(described: Gateway) -> None:
    answered = check_every_call(described, st.just(lambda _: None))
    assert all(any(400 <= status < 500 for status in statuses) for statuses in answered.values()), answered


def test_what_is_sent_about_what_there_is_is_answered_as_described(described: Gateway) -> None:
    cases = [described.open_case(f"CS-{number}") for number in range(3)]
    files = [described.call("POST", f"cases/{case}/attachments?name={case}.bin", b"x" * 100)["id"] for case in cases]
    described.call("POST", f"cases/{cases[2]}/close", {"sub_status": "resolved", "comment": ""})
    known = {"case_id": cases, "attachment_id": files}

    def key_of(number: int) -> str:
        """A key of an account that is alive: what was done before may have ended the one that was. A closed case has none."""
        if number == 2:
            return "0" * 32
        described.call("POST", f"cases/{cases[number]}/sftp-account")
        added = described.call("POST", f"cases/{cases[number]}/sftp-account/keys", {"public_key": PUBLIC_KEY})
        return str(added["id"])

    def about(number: int) -> Change:
        def change(case: schemathesis.Case) -> None:
            for name in case.path_parameters or {}:
                case.path_parameters[name] = key_of(number) if name == "key_id" else known[name][number]
            if number == 0 and isinstance(case.body, dict) and "public_key" in case.body:
                case.body["public_key"] = PUBLIC_KEY

        return change

    answered = check_every_call(described, st.integers(0, 2).map(about))
    assert all(any(status < 300 for status in statuses) for statuses in answered.values()), answered
