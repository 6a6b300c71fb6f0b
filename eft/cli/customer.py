"""What `eft send` and `eft fetch` share: the options for the gateway and the line to it, and how they end.

Only the client's dependencies are imported here, and those that take long only when a command runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import json
import re
import signal
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from eft.client.errors import ClientError
    from eft.client.gateway import Gateway
    from eft.client.progress import Quiet

F = TypeVar("F", bound=Callable[..., object])

EXIT_CODES = """
\b
Exit codes:
  0   everything is there, and its digest was compared
  1   something else failed: the message says what
  2   the command is wrong
  3   gave up: the gateway could not be reached for too long   (*)
  4   the token is unknown or has expired                      (*)
  5   the case is closed, or the token may not do this         (*)
  6   what arrived is not what was sent
  7   a file changed while it was being sent
  8   the gateway has no room now, or takes no file so large   (*)
  9   the gateway's certificate does not verify
  10  the case is in another region: the message has the address
  130 Ctrl-C                                                   (*)
(*) Run the same command again: it goes on where it was.
"""


def line_options(address: str, what: str) -> Callable[[F], F]:
    """Adds the options that both commands have; `address` is the one that names the gateway."""
    options = (
        click.option(
            address, "url", required=True, metavar="URL", help="The gateway, as the case page shows it: https://HOST:PORT."
        ),
        click.option(
            "--token-file", metavar="FILE", help="A file with the token; - reads it from standard input. [env: EFT_TOKEN]"
        ),
        click.option(
            "--ca",
            envvar="EFT_CA",
            show_envvar=True,
            metavar="FILE",
            help="PEM file of authorities to trust besides the system's.",
        ),
        click.option("--proxy", metavar="URL", help="HTTP proxy, instead of HTTPS_PROXY and NO_PROXY."),
        click.option(
            "--parallel", type=click.IntRange(1, 16), default=3, show_default=True, help=f"How many files {what} at once."
        ),
        click.option(
            "--give-up-after",
            default="6h",
            show_default=True,
            metavar="TIME",
            callback=_seconds,
            help="How long to try again without any progress: 90s, 30m, 12h.",
        ),
        click.option("--quiet", is_flag=True, help="Say nothing unless something is wrong."),
        click.option("--json", "wants_json", is_flag=True, help="Answer in JSON."),
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _seconds(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhd]?)", value.strip())
    if found is None:
        raise click.BadParameter("Give a number and s, m, h or d, such as 90s or 12h.")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def open_gateway(url: str, token_file: str | None, ca: str | None, proxy: str | None, *, may_ask: bool = True) -> Gateway:
    """The gateway, with its token found or asked for. Raises ClientError."""
    from eft.client.gateway import Gateway
    from eft.client.tokens import find_token

    is_terminal = may_ask and sys.stdin.isatty() and sys.stderr.isatty()
    return Gateway(url, find_token(token_file, _ask if is_terminal else None), ca=ca, proxy=proxy)


def _ask(text: str) -> str:
    return str(click.prompt(text, hide_input=True, err=True))


def watcher(total: int, files: int, *, quiet: bool) -> Quiet:
    """Bars on a terminal, lines elsewhere, nothing where nothing is wanted."""
    from eft.client.clock import MonotonicClock
    from eft.client.progress import Bars, Lines, Quiet

    if quiet:
        return Quiet()
    return Bars(total, files) if sys.stderr.isatty() else Lines(MonotonicClock())


def heed_termination() -> None:
    """SIGTERM ends it as Ctrl-C does."""

    def stop(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def fail(error: ClientError, *, wants_json: bool, others: Sequence[dict[str, Any]] = ()) -> None:
    """Tells what was wrong, and exits with its code."""
    if wants_json:
        told = {"ok": False, "code": error.code, "detail": error.detail, "remedy": error.remedy, "files": list(others)}
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        from eft.client.progress import printable

        click.echo(printable(f"eft: {error}"), err=True)
    sys.exit(error.exit_code)


def end(
    files: Sequence[dict[str, Any]],
    errors: Sequence[tuple[str, ClientError]],
    *,
    wants_json: bool,
    left: int,
) -> None:
    """The end of a command: the JSON answer, or the errors; exits with the code of the first that concerns all, else the first.
    `left`: how many files were not even begun."""
    from eft.client.errors import Interrupted
    from eft.client.progress import printable

    if left and not errors:
        errors = [("", Interrupted("Some files were not begun."))]
    first = next((error for _, error in errors if error.concerns_all), errors[0][1] if errors else None)
    if wants_json:
        told: dict[str, Any] = {"ok": first is None, "files": list(files)}
        if first is not None:
            told |= {"code": first.code, "detail": first.detail, "remedy": first.remedy}
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        seen = set()
        for name, error in errors:
            line = f"eft: {error}" if error.concerns_all else f"eft: {name}: {error}"
            if line not in seen:
                click.echo(printable(line), err=True)
            seen.add(line)
        if left and first is not None:
            click.echo(f"eft: {left} file(s) were not begun.", err=True)
    if first is not None:
        sys.exit(first.exit_code)


def interrupted(*, wants_json: bool, files: Sequence[dict[str, Any]], advice: str) -> None:
    """Ctrl-C: says how to go on, and exits 130."""
    if wants_json:
        click.echo(json.dumps({"ok": False, "code": "interrupted", "detail": "Stopped.", "remedy": advice, "files": list(files)}))
    else:
        click.echo(f"\neft: Stopped. {advice}", err=True)
    sys.exit(130)


def saved_receipt(gateway: Gateway, attachment_id: str, directory: str, name: str) -> str | None:
    """Where the receipt of one file was written, None where the gateway gives none."""
    from pathlib import Path

    from eft.client.receipts import save_receipt

    path = save_receipt(gateway, attachment_id, Path(directory), name)
    return None if path is None else str(path)
