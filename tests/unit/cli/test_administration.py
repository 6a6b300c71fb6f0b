"""`eft account|case|keys|purge|token`, on a gateway's own files and without a gateway running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
import json
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result
import pytest

from eft.bootstrap.services import services
from eft.cli.main import COMMANDS, main
from eft.config import load_config
from eft.domain.actor import SYSTEM
from eft.domain.case import CaseStatus
from eft.retention.purge import Purge
from eft.sftp_temp.host_keys import generate_host_keys

ROOT = Path(__file__).resolve().parents[3]
ADMINISTRATION = ("account", "case", "keys", "purge", "token")

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBC3p9K6PIVeDPoG4szLLweg9NsbOr633YJtEdC5R9no"
FINGERPRINT = "SHA256:yVoCRG8sDUP8Tqw2lQw4Kz1vNd6waRKRtMwcmTef4bg"

Eft = Callable[..., Result]


@pytest.fixture(scope="session")
def host_keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return generate_host_keys(tmp_path_factory.mktemp("host-keys"))


@pytest.fixture
def eft(tmp_path: Path, host_keys: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> Eft:
    """Runs a command beside a gateway that has settings, and nothing else yet."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    config = tmp_path / "gateway.toml"
    keys = json.dumps([str(key) for key in host_keys])
    config.write_text(
        f'region = "us"\nregions_dir = "{ROOT / "regions"}"\n[storage]\nroot = "data"\n'
        '[keys]\nmaster_key_file = "secrets/master.key"\n'
        f'[https]\ncertificate = "tls.pem"\nprivate_key = "tls.key"\n[sftp]\nhost_keys = {keys}\n'
    )
    monkeypatch.setenv("EFT_CONFIG", str(config))
    return lambda *arguments: CliRunner().invoke(main, arguments)


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def put_case(tmp_path: Path, case_id: str = "C-1", *, closed_at: str | None = None) -> None:
    """As a case system would, without a door."""

    async def put() -> None:
        async with services(load_config(tmp_path / "gateway.toml")) as running:
            await running.cases.put(
                case_id,
                organisation="Example",
                subject="Crash",
                status=CaseStatus.CLOSED if closed_at else CaseStatus.OPEN,
                closed_at=datetime.fromisoformat(closed_at) if closed_at else None,
                actor=SYSTEM,
            )

    asyncio.run(put())


def test_keys_are_made_once(eft: Eft, tmp_path: Path) -> None:
    assert eft("keys", "create").exit_code == 0
    made = (tmp_path / "secrets" / "master.key").read_bytes()
    again = eft("keys", "create", "--json")
    assert again.exit_code == 1
    assert json.loads(again.stderr)["code"] == "unsafe-setting"
    assert (tmp_path / "secrets" / "master.key").read_bytes() == made


def test_keys_are_made_though_the_first_try_was_interrupted(eft: Eft, tmp_path: Path) -> None:
    assert eft("keys", "create").exit_code == 0
    (tmp_path / "data" / "us" / "keys" / "slots").unlink()
    assert eft("keys", "create").exit_code == 0
    assert eft("keys", "check").exit_code == 0


def test_no_empty_key_store_is_made_beside_data(eft: Eft, tmp_path: Path) -> None:
    assert eft("keys", "create").exit_code == 0
    put_case(tmp_path)
    (tmp_path / "data" / "us" / "keys" / "slots").unlink()
    assert eft("keys", "create").exit_code == 1


def test_without_keys_every_command_says_so_in_one_sentence(eft: Eft) -> None:
    refused = eft("account", "show", "C-1")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("eft: ")
    assert "Traceback" not in refused.output


def test_public_keys_of_an_account_are_added_listed_and_removed(eft: Eft, tmp_path: Path) -> None:
    eft("keys", "create")
    put_case(tmp_path)
    file = tmp_path / "id.pub"
    file.write_text(PUBLIC_KEY + " laptop\n")
    refused = eft("account", "key", "add", "C-1", str(file), "--json")
    assert json.loads(refused.stderr)["code"] == "not-found"
    eft("account", "create", "C-1")
    added = answer(eft("account", "key", "add", "C-1", str(file), "--json"))
    assert (added["type"], added["fingerprint"], added["comment"]) == ("ssh-ed25519", FINGERPRINT, "laptop")
    assert answer(eft("account", "key", "add", "C-1", str(file), "--json")) == added
    assert answer(eft("account", "key", "list", "C-1", "--json"))["keys"] == [added]
    assert FINGERPRINT in eft("account", "key", "list", "C-1").stdout
    file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n")
    private = eft("account", "key", "add", "C-1", str(file))
    assert private.exit_code == 1
    assert "private key" in private.stderr
    assert "c2VjcmV0" not in private.output
    assert eft("account", "key", "remove", "C-1", FINGERPRINT).exit_code == 0
    assert eft("account", "key", "remove", "C-1", FINGERPRINT).exit_code == 1
    assert "no public keys" in eft("account", "key", "list", "C-1").stdout


def test_keys_are_checked_rotated_and_exported(eft: Eft, tmp_path: Path) -> None:
    eft("keys", "create")
    put_case(tmp_path)
    created = answer(eft("account", "create", "C-1", "--json"))
    assert answer(eft("keys", "rotate", "--json")) == {"generation": 2}
    report = answer(eft("keys", "check", "--json"))
    assert (report["generation"], report["secrets"], report["broken"], report["cases_without_key"]) == (2, 1, [], [])
    assert answer(eft("account", "show", "C-1", "--json")) == created
    assert eft("keys", "export", str(tmp_path / "copy")).exit_code == 0
    assert eft("keys", "export", str(tmp_path / "copy")).exit_code == 1


def test_an_account_is_created_shown_and_revoked(eft: Eft, tmp_path: Path) -> None:
    eft("keys", "create")
    assert eft("account", "create", "C-1").exit_code == 1
    put_case(tmp_path)
    created = answer(eft("account", "create", "C-1", "--json"))
    assert set(created) == {"username", "password", "host", "port", "host_key_fingerprints", "expires_at"}
    assert len(created["host_key_fingerprints"]) == 2
    assert created["password"] in eft("account", "show", "C-1").stdout
    assert eft("account", "revoke", "C-1").exit_code == 0
    assert eft("account", "revoke", "C-1").exit_code == 0
    assert eft("account", "show", "C-1").exit_code == 1


def test_a_case_is_closed_held_and_reopened(eft: Eft, tmp_path: Path) -> None:
    eft("keys", "create")
    put_case(tmp_path)
    eft("account", "create", "C-1")
    closed = answer(eft("case", "close", "C-1", "--sub-status", "cancelled", "--json"))
    assert (closed["status"], closed["sub_status"]) == ("closed", "cancelled")
    assert answer(eft("keys", "check", "--json"))["secrets"] == 0
    assert answer(eft("case", "hold", "C-1", "--reason", "litigation", "--json"))["hold_reason"] == "litigation"
    assert answer(eft("case", "hold", "C-1", "--release", "--json"))["hold_reason"] is None
    assert eft("case", "hold", "C-1").exit_code == 2
    assert eft("case", "hold", "C-1", "--release", "--reason", "x").exit_code == 2
    assert answer(eft("case", "reopen", "C-1", "--reason", "again", "--json"))["status"] == "open"


def test_a_purge_is_shown_before_and_done_after(eft: Eft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Purge.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Purge.__init__.__kwdefaults__, "reader_grace_s", 0.0)
    eft("keys", "create")
    assert answer(eft("purge", "--dry-run", "--json")) == {"cases": []}
    put_case(tmp_path, "C-1", closed_at="2020-01-01T00:00:00+00:00")
    put_case(tmp_path, "C-2", closed_at="2020-01-01T00:00:00+00:00")
    eft("case", "hold", "C-2", "--reason", "litigation")
    planned = answer(eft("purge", "--dry-run", "--json"))["cases"]
    assert [(plan["case_id"], plan["verdict"]) for plan in planned] == [("C-1", "due"), ("C-2", "held")]
    assert "kept: under a legal hold" in eft("purge", "--dry-run").stdout
    assert answer(eft("purge", "--json")) == {"purged": ["C-1"], "kept": {"C-2": "held"}, "failed": {}}
    assert "C-1" not in eft("purge").stdout


def test_tokens_are_made_listed_replaced_and_revoked(eft: Eft) -> None:
    eft("keys", "create")
    made = answer(eft("token", "create", "--name", "crm", "--scope", "cases:read", "--scope", "cases:write", "--json"))
    assert made["token"].startswith("eft_us_api_")
    assert made["scopes"] == ["cases:read", "cases:write"]
    assert eft("token", "create", "--name", "crm", "--scope", "cases:read").exit_code == 1
    replaced = eft("token", "create", "--name", "crm", "--scope", "cases:read", "--replace")
    assert replaced.stdout.strip() != made["token"]
    assert made["token"] not in eft("token", "list").stdout
    assert len(answer(eft("token", "list", "--json"))["tokens"]) == 2
    assert eft("token", "revoke", "crm").exit_code == 0
    assert eft("token", "revoke", "crm").exit_code == 1
    assert eft("token", "create", "--name", "crm", "--scope", "cases:burn").exit_code == 2
    assert eft("token", "create", "--name", "crm").exit_code == 2


def _commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []

    def look(command: click.Command, path: tuple[str, ...]) -> None:
        if not isinstance(command, click.Group):
            found.append(path)
            return
        for name, inner in command.commands.items():
            look(inner, (*path, name))

    for name in ADMINISTRATION:
        assert name in COMMANDS
        look(main.get_command(click.Context(main), name), (name,))  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_every_command_has_help_with_an_example_and_answers_in_json(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main, [*command, "--help"])
    assert shown.exit_code == 0
    assert f"eft {' '.join(command)}" in shown.output.split("Example")[1]
    assert "--json" in shown.output


def test_host_keys_are_printed_as_clients_and_dns_show_them(eft: Eft) -> None:
    told = answer(eft("keys", "host-keys", "--json"))
    assert [line[:7] for line in told["fingerprints"]] == ["SHA256:", "SHA256:"]
    assert [line.split()[1:5] for line in told["sshfp"]] == [["IN", "SSHFP", "4", "2"], ["IN", "SSHFP", "1", "2"]]
