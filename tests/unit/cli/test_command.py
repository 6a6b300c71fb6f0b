from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
import json
from pathlib import Path

import click
from click.testing import CliRunner
import pytest

from eft.cli.command import Group, show, with_config
from eft.cli.main import main
from eft.config import Config
from eft.domain.errors import NotFound


@click.group(cls=Group)
def thing() -> None:
    """Things."""


@thing.command()
def find() -> None:
    """Find a thing."""
    show({"at": datetime(2026, 11, 23, tzinfo=UTC)}, "Found.")


@thing.command()
def lose() -> None:
    """Lose a thing."""
    raise NotFound


@thing.command()
@with_config
def configured(config: Config) -> None:
    """Needs settings."""


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, (*path, name))


def test_every_command_has_help_and_answers_in_json_where_asked() -> None:
    for path, command in commands(main):
        result = CliRunner().invoke(main, [*path, "--help"])
        assert result.exit_code == 0
        assert command.help, f"eft {' '.join(path)} does not say what it does"
        if not isinstance(command, click.Group):
            assert "--json" in result.output, f"eft {' '.join(path)} has no --json"


def test_an_answer_is_text_or_json() -> None:
    assert CliRunner().invoke(thing, ["find"]).stdout == "Found.\n"
    assert json.loads(CliRunner().invoke(thing, ["find", "--json"]).stdout) == {"at": "2026-11-23T00:00:00Z"}


@pytest.mark.parametrize(
    ("flags", "told"), [([], "eft: There is nothing here by that name."), (["--json"], '{"code": "not-found"')]
)
def test_a_refusal_is_one_sentence_with_its_remedy(flags: list[str], told: str) -> None:
    result = CliRunner().invoke(thing, ["lose", *flags])
    assert result.exit_code == 1
    assert result.stderr.startswith(told)
    assert NotFound.remedy in result.stderr
    assert "Traceback" not in result.output


def test_settings_come_from_the_environment_too(tmp_path: Path) -> None:
    result = CliRunner().invoke(thing, ["configured"], env={"EFT_CONFIG": str(tmp_path / "absent.toml")})
    assert result.exit_code == 1
    assert "absent.toml: The file does not exist." in result.stderr


def test_wrong_usage_exits_with_two() -> None:
    assert CliRunner().invoke(thing, ["configured"], env={"EFT_CONFIG": None}).exit_code == 2
