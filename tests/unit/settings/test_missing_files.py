"""Every setting that names a file: where it is missing, or not what it should be, the setting is named, and what to do."""

from __future__ import annotations

import json
from pathlib import Path
import shutil
import subprocess

from click.testing import CliRunner
import pytest

from eft.cli.main import main
from eft.config import setting_names
from eft.portal.settings import setting_names as portal_setting_names
from tests.fixtures.gateway import EFT, Gateway

CASE_SYSTEM = '[case_system]\nurl = "https://localhost:1"\ntoken_file = "secrets/asks"\nca_file = "ca.pem"\n'
OF_ANY_COMMAND = {
    "keys.master_key_file": "secrets/master.key",
    "case_system.token_file": "secrets/asks",
    "case_system.ca_file": "ca.pem",
}
OF_SERVING = {
    "https.certificate": "secrets/tls.pem",
    "https.private_key": "secrets/tls.key",
    "sftp.host_keys": "secrets/ssh_host_rsa_key",
}
OF_THE_PORTAL = {
    "key_file": "portal.key",
    "https.certificate": "tls.pem",
    "https.private_key": "tls.key",
    "mail.password_file": "mail-password",
    "gateways.us.token_file": "token",
    "gateways.us.case_system_token_file": "asks",
    "gateways.us.ca_file": "ca.pem",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    gateway = Gateway(tmp_path_factory.mktemp("made") / "gateway")
    gateway.config.write_text(gateway.config.read_text() + CASE_SYSTEM)
    _secret(gateway.directory / "secrets" / "asks", "secret")
    return gateway


@pytest.fixture
def directory(made: Gateway, tmp_path: Path) -> Path:
    """A gateway's, with everything in its place."""
    shutil.copytree(made.directory, tmp_path / "gateway")
    return tmp_path / "gateway"


@pytest.fixture
def portal(made: Gateway, tmp_path: Path) -> Path:
    """A portal's, with everything in its place."""
    for name in ("portal.key", "mail-password", "token", "asks"):
        _secret(tmp_path / name, "secret")
    for name in ("tls.pem", "tls.key"):
        shutil.copy(made.directory / "secrets" / name, tmp_path)
    shutil.copy(made.ca, tmp_path / "ca.pem")
    (tmp_path / "portal.toml").write_text(
        'url = "https://localhost"\nkey_file = "portal.key"\n[https]\ncertificate = "tls.pem"\nprivate_key = "tls.key"\n'
        '[mail]\nsender = "a@b.example"\nhost = "localhost"\nusername = "a"\npassword_file = "mail-password"\n'
        '[support]\ntelephone = "+1 555"\n[gateways.us]\ntitle = "us"\nurl = "https://localhost:1"\n'
        'page_url = "https://localhost:2"\ntoken_file = "token"\ncase_system_token_file = "asks"\nca_file = "ca.pem"\n'
    )
    return tmp_path


def _secret(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)


def refused(*words: str) -> str:
    """What a command says that is refused: one sentence with its remedy."""
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1, result.output
    told = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert len(told) == 1, result.stderr
    assert told[0].startswith("eft: ")
    return told[0]


def is_told(told: str, setting: str, file: Path) -> None:
    """That it is missing, what it is, and what to do."""
    assert str(file) in told
    assert setting in told
    assert "No such file" not in told
    assert any(word in told for word in ("Create it", "eft portal setup", "Put it back"))


def test_every_setting_that_names_a_file_is_in_these_tables() -> None:
    """By its name, which is what people go by too."""
    for names, known in ((setting_names(), OF_ANY_COMMAND | OF_SERVING), (portal_setting_names(), OF_THE_PORTAL)):
        files = {name for name in names if name.endswith(("_file", "_keys", "certificate", "_key"))}
        assert {name.rpartition(".")[2] for name in files} == {name.rpartition(".")[2] for name in known}


@pytest.mark.parametrize("setting", OF_ANY_COMMAND)
def test_a_missing_file_of_a_gateway_is_told_by_its_setting(directory: Path, setting: str) -> None:
    (directory / OF_ANY_COMMAND[setting]).unlink()
    told = refused("purge", "--dry-run", "--config", str(directory / "gateway.toml"))
    is_told(told, setting, directory / OF_ANY_COMMAND[setting])


@pytest.mark.parametrize("setting", OF_SERVING)
def test_a_missing_file_of_the_doors_refuses_the_start(directory: Path, setting: str) -> None:
    (directory / OF_SERVING[setting]).unlink()
    command = [str(EFT), "serve", "--config", str(directory / "gateway.toml")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(told) == 1
    is_told(told[0], setting, directory / OF_SERVING[setting])


@pytest.mark.parametrize("setting", OF_THE_PORTAL)
def test_a_missing_file_of_the_portal_is_told_by_its_setting(portal: Path, setting: str) -> None:
    (portal / OF_THE_PORTAL[setting]).unlink()
    told = refused("portal", "serve", "--config", str(portal / "portal.toml"))
    is_told(told, "" if setting == "key_file" else setting, portal / OF_THE_PORTAL[setting])


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_authorities_that_are_none_are_told(directory: Path, content: str | None) -> None:
    file = directory / "ca.pem"
    file.unlink()
    file.write_text(content) if content else file.mkdir()
    told = refused("purge", "--dry-run", "--config", str(directory / "gateway.toml"))
    assert "case_system.ca_file" in told
    assert ("in PEM" if content else "is a directory") in told


def test_a_host_key_that_is_missing_is_told_where_its_fingerprint_is_shown(directory: Path) -> None:
    (directory / "secrets" / "ssh_host_rsa_key").unlink()
    told = refused("keys", "host-keys", "--config", str(directory / "gateway.toml"))
    is_told(told, "sftp.host_keys", directory / "secrets" / "ssh_host_rsa_key")


def test_a_database_in_a_directory_that_is_missing_is_told_by_its_setting(directory: Path, portal: Path) -> None:
    for config, words in (
        (directory / "gateway.toml", ("purge", "--dry-run")),
        (portal / "portal.toml", ("portal", "user", "list")),
    ):
        config.write_text(config.read_text() + '[database]\nurl = "sqlite:///nowhere/eft.db"\n')
        told = refused(*words, "--config", str(config))
        assert "database.url" in told
        assert "nowhere" in told


def test_a_region_directory_that_is_missing_is_told(directory: Path) -> None:
    shutil.rmtree(directory / "regions")
    told = refused("purge", "--dry-run", "--config", str(directory / "gateway.toml"))
    assert str(directory / "regions") in told
    assert "Write one for each region" in told


def test_in_json_the_same_is_told(directory: Path) -> None:
    (directory / "ca.pem").unlink()
    result = CliRunner().invoke(main, ["purge", "--dry-run", "--json", "--config", str(directory / "gateway.toml")])
    assert json.loads(result.stderr)["code"] == "unsafe-setting"
