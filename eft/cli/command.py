"""What every command shares: `--json`, `--config`, and how it tells what went wrong.

A noun is a file with a group of this kind::

    @click.group(cls=Group)
    def case() -> None:
        \"\"\"Cases.\"\"\"

    @case.command()
    @click.argument("case_id")
    @with_config
    def close(config: Config, case_id: str) -> None:
        \"\"\"Close a case.\"\"\"
        show({"case": case_id, "status": "closed"}, f"Case {case_id} is closed.")

Exit codes: 0 done; 1 refused or failed, with the sentence and the remedy on standard error; 2 wrong usage.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
import json
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from eft.config import Config, load_config
from eft.domain.errors import EftError
from eft.settings_file import SettingInvalid

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

_JSON = "eft.json"


class Command(click.Command):
    """A command with `--json`, whose refusals are sentences and never tracebacks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(["--json"], is_flag=True, expose_value=False, callback=_note_json, is_eager=True, help="Answer in JSON.")
        )

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EftError as error:
            _tell(ctx, error.code, [f"{error.detail} {error.remedy}"])
        except SettingInvalid as error:
            _tell(ctx, "setting-invalid", [str(problem) for problem in error.problems])
        except OSError as error:
            _tell(ctx, "system", [f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}."])
        ctx.exit(1)


class Group(click.Group):
    """A group whose commands are of the kind above."""

    command_class = Command


def _note_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[_JSON] = value


def _tell(ctx: click.Context, code: str, sentences: list[str]) -> None:
    if ctx.meta.get(_JSON):
        click.echo(json.dumps({"code": code, "errors": sentences}, ensure_ascii=False), err=True)
    else:
        for sentence in sentences:
            click.echo(f"eft: {sentence}", err=True)


def show(value: object, text: str) -> None:
    """The command's answer: `value` with `--json`, `text` without. Instants come out as ISO 8601 in UTC."""
    wants_json = click.get_current_context().meta.get(_JSON)
    click.echo(json.dumps(value, ensure_ascii=False, default=_plain) if wants_json else text)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def with_config(command: Callable[Concatenate[Config, P], R]) -> Callable[P, R]:
    """Adds `--config` (or EFT_CONFIG); the command gets the settings it names as its first argument."""
    return with_settings(command, load_config, "EFT_CONFIG", "The gateway's settings.")


def with_settings(
    command: Callable[Concatenate[S, P], R], load: Callable[[Path], S], variable: str, about: str
) -> Callable[P, R]:
    """The same for settings of any kind: `load` reads them, `variable` may name their file."""

    @click.option(
        "--config",
        "config_file",
        envvar=variable,
        show_envvar=True,
        required=True,
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help=about,
    )
    @wraps(command)
    def configured(*args: P.args, **kwargs: P.kwargs) -> R:
        file = kwargs.pop("config_file")
        assert isinstance(file, Path)
        return command(load(file), *args, **kwargs)

    return configured
