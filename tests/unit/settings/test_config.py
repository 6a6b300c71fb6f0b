from __future__ import annotations

from pathlib import Path

import pytest

from eft.config import load_config
from eft.domain.errors import UnsafeSetting
from eft.settings_file import SettingInvalid

REGIONS = Path(__file__).parents[3] / "regions"

GATEWAY = f"""
region = "us"
regions_dir = "{REGIONS}"

[storage]
root = "storage"

[keys]
master_key_file = "keys/master"

[https]
certificate = "tls/certificate.pem"
private_key = "tls/key.pem"

[sftp]
host_keys = ["ssh/ed25519"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.toml"


def wrong(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(SettingInvalid) as caught:
        load_config(file)
    return str(caught.value)


def unsafe(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(UnsafeSetting) as caught:
        load_config(file)
    return str(caught.value)


def secret(path: Path, mode: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("secret")
    path.chmod(mode)


def test_relative_paths_count_from_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    file.write_text(GATEWAY)
    config = load_config(file)
    assert config.storage.root == file.parent / "storage"
    assert config.region_root == file.parent / "storage" / "us"
    assert config.sftp.host_keys == (file.parent / "ssh" / "ed25519",)
    assert config.database_url == f"sqlite:///{file.parent}/storage/us/eft.db"


def test_a_relative_database_file_counts_from_the_file_too(file: Path) -> None:
    file.write_text(GATEWAY + '\n[database]\nurl = "sqlite:///facts.db"\n')
    assert load_config(file).database_url == f"sqlite:///{file.parent}/facts.db"


def test_ports_are_those_of_the_region_unless_said_otherwise(file: Path) -> None:
    file.write_text(GATEWAY + "port = 2299\n")
    config = load_config(file)
    assert (config.https.port, config.sftp.port, config.operations.port) == (8441, 2299, 8451)


def test_settings_cannot_be_changed_once_read(file: Path) -> None:
    file.write_text(GATEWAY)
    config = load_config(file)
    with pytest.raises(Exception, match="frozen"):
        config.https.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "unknown", "meant"),
    [
        (GATEWAY.replace("[sftp]", "prot = 1\n[sftp]"), "https.prot", "https.port"),
        (GATEWAY.replace("[storage]", "[storgae]"), "storgae", "storage"),
        (GATEWAY + "[uploads]\nexpire_days = 3\n", "uploads.expire_days", "uploads.expire_after_days"),
        (GATEWAY.replace("[storage]", 'master_key_file = "x"\n[storage]'), "master_key_file", "keys.master_key_file"),
    ],
)
def test_an_unknown_setting_is_an_error_that_names_the_nearest_known_one(file: Path, text: str, unknown: str, meant: str) -> None:
    assert f"{file}: {unknown}: There is no such setting. Did you mean {meant}?" in wrong(file, text)


def test_every_problem_is_told_at_once(file: Path) -> None:
    told = wrong(file, GATEWAY.replace('root = "storage"', "").replace('private_key = "tls/key.pem"', "port = 70000"))
    assert "storage.root: This setting is missing. Write the directory" in told
    assert "https.private_key: This setting is missing." in told
    assert "https.port: 70000 is too large. Write at most 65535." in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("region = ", "This is not TOML"),
        (GATEWAY.replace('region = "us"', 'region = "mars"'), 'There is no region "mars". Write one of these: apac, emea, us.'),
        (GATEWAY.replace("[sftp]", 'listen = ["localhost"]\n[sftp]'), '"localhost" is not an IP address.'),
        (GATEWAY.replace("[sftp]", 'cors_origins = ["*"]\n[sftp]'), '"*" is not an origin.'),
        (GATEWAY.replace("[sftp]", 'extra_hosts = ["Example.com:443"]\n[sftp]'), "is not a host."),
        (GATEWAY.replace('host_keys = ["ssh/ed25519"]', "host_keys = []"), "sftp.host_keys"),
        (GATEWAY + "port = true\n", "sftp.port"),
    ],
)
def test_what_cannot_be_used_is_told_with_file_and_key(file: Path, text: str, told: str) -> None:
    message = wrong(file, text)
    assert message.startswith(f"{file}: ")
    assert told in message


def test_a_missing_file_is_told_so(file: Path) -> None:
    with pytest.raises(SettingInvalid, match="does not exist"):
        load_config(file)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
@pytest.mark.parametrize("path", ["keys/master", "tls/key.pem", "ssh/ed25519"])
def test_a_secret_that_others_may_read_refuses_the_start(file: Path, path: str, mode: int) -> None:
    secret(file.parent / path, mode)
    assert f"chmod 600 {file.parent / path}" in unsafe(file, GATEWAY)
    (file.parent / path).chmod(0o600)
    load_config(file)


def test_a_database_password_in_a_file_that_others_may_read_refuses_the_start(file: Path) -> None:
    file.touch(0o644)
    text = GATEWAY + '[database]\nurl = "postgresql://eft:secret@db/eft"\n'
    message = unsafe(file, text)
    assert "database.url" in message
    assert "secret" not in message
    file.chmod(0o600)
    assert load_config(file).database_url == "postgresql://eft:secret@db/eft"


@pytest.mark.parametrize("place", ["storage/master", "storage/us/keys/master", "elsewhere/../storage/master"])
def test_a_master_key_below_the_storage_root_refuses_the_start(file: Path, place: str) -> None:
    assert "keys.master_key_file" in unsafe(file, GATEWAY.replace("keys/master", place))


def test_a_master_key_behind_a_link_into_storage_refuses_the_start(file: Path) -> None:
    (file.parent / "storage").mkdir()
    (file.parent / "keys").symlink_to(file.parent / "storage")
    assert "keys.master_key_file" in unsafe(file, GATEWAY)


@pytest.mark.parametrize(
    ("url", "safe"), [("http://crm.example.com/", False), ("http://127.0.0.1:9/", True), ("https://crm.example.com/", True)]
)
def test_a_case_system_is_asked_over_https_or_on_loopback_only(file: Path, url: str, safe: bool) -> None:
    text = GATEWAY + f'[case_system]\nurl = "{url}"\ntoken_file = "crm.token"\n'
    if safe:
        file.write_text(text)
        load_config(file)
    else:
        assert "case_system.url" in unsafe(file, text)


def test_two_listeners_on_one_port_refuse_the_start(file: Path) -> None:
    assert "Give each its own port." in unsafe(file, GATEWAY + "port = 8441\n")
