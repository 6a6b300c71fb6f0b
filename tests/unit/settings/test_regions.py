from __future__ import annotations

import json
from pathlib import Path
import shutil

from click.testing import CliRunner
import pytest

from eft.cli.main import main
from eft.regions import load_regions
from eft.settings_file import SettingInvalid

REGIONS = Path(__file__).parents[3] / "regions"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return Path(shutil.copytree(REGIONS, tmp_path / "regions"))


def change(directory: Path, name: str, old: str, new: str) -> str:
    file = directory / f"{name}.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(SettingInvalid) as caught:
        load_regions(directory)
    return str(caught.value)


def test_the_regions_that_ship_are_those_that_the_outside_relies_on() -> None:
    regions = load_regions(REGIONS)
    assert {name: (region.https_port, region.sftp_port, region.operations_port) for name, region in regions.items()} == {
        "us": (8441, 2221, 8451),
        "emea": (8442, 2222, 8452),
        "apac": (8443, 2223, 8453),
    }
    for name, region in regions.items():
        assert {"localhost", "127.0.0.1", "::1", f"eftgateway-{name}.localhost"} == set(region.https_hosts)
        assert region.url == f"https://localhost:{region.https_port}"
    assert regions["us"].calendar.time_zone == "America/New_York"
    assert (regions["us"].calendar.opens.hour, regions["us"].calendar.closes.hour) == (7, 21)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("8442", "8441", "us.toml: https.port: emea.toml uses port 8441"),
        ("2222", "8453", "emea.toml: sftp.port: apac.toml uses port 8453"),
        ("8452", "8442", "operations.port is 8442 as well"),
        ("eftgateway-emea", "eftgateway-us", "claims eftgateway-us.localhost as well"),
        ('storage_root = "emea"', 'storage_root = "us"', 'emea.toml has "us" as well'),
        ('storage_root = "emea"', 'storage_root = "../us"', "emea.toml: storage_root"),
        ('name = "emea"', 'name = "europe"', '"europe" is not what the file is called. Write "emea".'),
        ("Europe/Amsterdam", "Europe/Atlantis", "There is no such time zone."),
        ("[1, 2, 3, 4, 5]", "[0, 1]", "calendar.weekdays.0: 0 is too small."),
        ("closes = 18:00:00", "closes = 07:00:00", "It opens when it has closed already."),
        ("time_zone", "timezone", "calendar.timezone: There is no such setting. Did you mean calendar.time_zone?"),
        ("port = 8442", 'port = "8442"', "https.port"),
    ],
)
def test_what_two_regions_claim_or_one_says_wrongly_is_told(directory: Path, old: str, new: str, told: str) -> None:
    assert told in change(directory, "emea", old, new)


def test_regions_on_machines_of_their_own_may_use_the_same_ports(directory: Path) -> None:
    for file in directory.glob("*.toml"):
        text = (
            file.read_text()
            .replace('"localhost", "127.0.0.1", "::1", ', "")
            .replace('"localhost"', f'"eftgateway-{file.stem}.localhost"')
        )
        lines = ["port = 443" if line.startswith("port = 84") and "445" not in line else line for line in text.splitlines()]
        file.write_text("\n".join(line.replace("port = 222", "port = 22 # ") for line in lines))
    for file, port in zip(sorted(directory.glob("*.toml")), (8453, 8452, 8451), strict=True):
        text = file.read_text()
        file.write_text(text.replace("[operations]\nport = 443", f"[operations]\nport = {port}"))
    assert {(region.https_port, region.sftp_port) for region in load_regions(directory).values()} == {(443, 22)}


def test_an_empty_directory_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="no region file"):
        load_regions(tmp_path)


def test_the_command_accepts_what_fits() -> None:
    result = CliRunner().invoke(main, ["regions", "check", "--dir", str(REGIONS)])
    assert result.exit_code == 0
    assert "3 regions, nothing claimed twice." in result.stdout


def test_the_command_answers_in_json() -> None:
    result = CliRunner().invoke(main, ["regions", "check", "--dir", str(REGIONS), "--json"])
    assert [region["name"] for region in json.loads(result.stdout)["regions"]] == ["apac", "emea", "us"]


def test_the_command_refuses_with_sentences_and_no_traceback(directory: Path) -> None:
    change(directory, "emea", "8442", "8441")
    result = CliRunner().invoke(main, ["regions", "check", "--dir", str(directory)])
    assert result.exit_code == 1
    assert result.stderr.startswith("eft: ")
    assert "Choose another port." in result.stderr
    assert "Traceback" not in result.output


def test_the_command_refuses_in_json_where_that_was_asked_for(directory: Path) -> None:
    change(directory, "emea", "8442", "8441")
    result = CliRunner().invoke(main, ["regions", "check", "--json", "--dir", str(directory)])
    assert result.exit_code == 1
    assert json.loads(result.stderr)["code"] == "setting-invalid"
