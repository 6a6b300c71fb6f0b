"""What settings are refused, and how loudly."""

from __future__ import annotations

from pathlib import Path

import pytest

from eft.domain.errors import UnsafeSetting
from eft.portal.settings import load_settings, setting_names
from eft.settings_file import SettingInvalid

ROOT = Path(__file__).parents[3]

GOOD = """\
url = "https://portal.example.com"
key_file = "key"
[https]
certificate = "tls.pem"
private_key = "tls.key"
[mail]
sender = "support@example.com"
host = "smtp.example.com"
[support]
telephone = "+1 555 0100"
[gateways.us]
title = "Americas"
url = "https://us.example.com"
page_url = "https://us.example.com"
token_file = "token"
case_system_token_file = "asks"
"""


def written(directory: Path, text: str) -> Path:
    for name in ("key", "tls.key", "token", "asks"):
        (directory / name).touch(mode=0o600)
    file = directory / "portal.toml"
    file.write_text(text)
    return file


def test_paths_count_from_the_file_that_names_them(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, GOOD))
    assert settings.key_file == tmp_path / "key"
    assert settings.database.url == f"sqlite:///{tmp_path / 'portal.db'}"
    assert settings.hosts == {"portal.example.com"}
    assert (settings.https.port, settings.operations.port) == (8440, 8450)


@pytest.mark.parametrize(
    ("was", "becomes", "about"),
    [
        ('url = "https://portal.example.com"', 'url = "http://portal.example.com"', "Passwords would cross"),
        ('url = "https://us.example.com"', 'url = "http://us.example.com"', "Tokens and files would cross"),
        ('host = "smtp.example.com"', 'host = "smtp.example.com"\nsecurity = "none"', "Reset links would cross"),
        ('host = "smtp.example.com"', "", "Nobody could reset a password"),
        ("[mail]", "[operations]\nport = 8440\n[mail]", "They are the same"),
    ],
)
def test_what_is_not_safe_is_refused(tmp_path: Path, was: str, becomes: str, about: str) -> None:
    with pytest.raises(UnsafeSetting, match=about):
        load_settings(written(tmp_path, GOOD.replace(was, becomes, 1)))


@pytest.mark.parametrize("name", ["key", "tls.key", "token", "asks"])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, GOOD)
    (tmp_path / name).chmod(0o640)
    with pytest.raises(UnsafeSetting, match="chmod 600"):
        load_settings(file)


def test_a_gateway_on_this_machine_may_be_reached_without_tls(tmp_path: Path) -> None:
    load_settings(written(tmp_path, GOOD.replace("https://us.example.com", "http://127.0.0.1:1")))


def test_a_setting_that_is_not_known_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match=r"gateways\.us\.token_file"):
        load_settings(written(tmp_path, GOOD.replace("token_file", "tokenfile", 1)))


def test_every_setting_is_described_on_the_portals_page() -> None:
    page = (ROOT / "docs" / "portal.md").read_text()
    for name in setting_names():
        assert f"| `{name.replace('gateways.', 'gateways.REGION.')}` |" in page, name
