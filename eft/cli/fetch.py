"""`eft fetch`: the files of a case, from a shell."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from eft.cli import customer

if TYPE_CHECKING:
    from eft.client.fetching import Wanted
    from eft.client.listing import Attachment


@click.command(epilog=customer.EXIT_CODES)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@customer.line_options("--from", "come")
@click.option("--all", "everything", is_flag=True, help="Fetch every file of the case.")
@click.option(
    "--to",
    "directory",
    default=".",
    show_default=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to.",
)
@click.option("--force", is_flag=True, help="Replace files that are there already.")
def fetch(
    names: tuple[str, ...],
    url: str,
    token_file: str | None,
    ca: str | None,
    proxy: str | None,
    parallel: int,
    give_up_after: float,
    quiet: bool,
    wants_json: bool,
    everything: bool,
    directory: Path,
    force: bool,
) -> None:
    """List the files of the case that the token is for, or fetch some of them by NAME (or all with --all).

    What is cut goes on where it was, also when the command is run again. A file gets its name when its SHA-256 was compared;
    until then it is NAME.part.

    \b
    Examples:
      eft fetch --from https://eftgateway-us.example.com --token-file token.txt
      eft fetch patch.zip --from https://eftgateway-us.example.com --to downloads
    """
    import threading

    from eft.client.clock import MonotonicClock
    from eft.client.crew import Outcome, work_through
    from eft.client.errors import ClientError, Missing, Wrong
    from eft.client.fetching import Fetched, FetchTerms
    from eft.client.fetching import fetch as fetch_one
    from eft.client.listing import list_patiently
    from eft.client.progress import printable

    customer.heed_termination()
    stop = threading.Event()
    done: list[dict[str, Any]] = []
    errors: list[tuple[str, ClientError]] = []
    wanted: list[Wanted] = []
    try:
        gateway = customer.open_gateway(url, token_file, ca, proxy)
        clock = MonotonicClock()
        listed = list_patiently(gateway, give_up_after, stop, clock)
        if not names and not everything:
            _show(listed.case, listed.attachments, wants_json=wants_json)
            return
        if names and everything:
            raise Wrong("NAME and --all exclude each other.", "Leave one out.")
        missing = [name for name in names if name not in {each.name for each in listed.attachments}]
        if missing:
            raise Missing(f"The case has no file {printable(missing[0])}.", "List what it has: eft fetch --from URL.")
        wanted = _choose(listed.attachments, set(names), directory)
        directory.mkdir(parents=True, exist_ok=True)
        watcher = customer.watcher(sum(each.attachment.size for each in wanted), len(wanted), quiet=quiet or wants_json)
        terms = FetchTerms(gateway=gateway, stop=stop, watcher=watcher, clock=clock, give_up_after_s=give_up_after, force=force)

        def ended(outcome: Outcome[Wanted, Fetched]) -> None:
            name = outcome.item.name
            if outcome.result is None:
                assert outcome.error is not None
                errors.append((name, outcome.error))
                watcher.ended(outcome.item, f"{name}  not fetched")
                return
            got = outcome.result
            done.append({"name": name, "path": str(got.path), "size": got.size, "sha256": got.sha256, "verified": True})
            there = "  was there already" if got.was_there else ""
            watcher.ended(outcome.item, f"{got.path}  {got.size} bytes  sha256 {got.sha256}  verified{there}")

        with watcher:
            work_through(wanted, lambda each: fetch_one(each, terms), at_once=parallel, stop=stop, ended=ended)
    except ClientError as error:
        customer.fail(error, wants_json=wants_json)
    except KeyboardInterrupt:
        advice = f"Run the same command again to go on: {shlex.join(['eft', *sys.argv[1:]])}"
        customer.interrupted(wants_json=wants_json, files=done, advice=advice)
    else:
        customer.end(done, errors, wants_json=wants_json, left=len(wanted) - len(done) - len(errors))


def _choose(attachments: list[Attachment], names: set[str], directory: Path) -> list[Wanted]:
    """The newest of each name under its name; with all, older ones beside it, with their id before the ending."""
    from eft.client.fetching import Wanted
    from eft.client.local_names import local_path

    chosen: list[Wanted] = []
    taken: set[str] = set()
    for each in attachments:
        if names and each.name not in names:
            continue
        path = local_path(directory, each.name)
        if str(path).casefold() in taken:
            if names and any(other.name == each.name for other in chosen):
                continue
            inner = PurePosixPath(each.name)
            path = local_path(directory, str(inner.with_name(f"{inner.stem}.{each.id[:8]}{inner.suffix}")))
        taken.add(str(path).casefold())
        chosen.append(Wanted(each, path))
    return chosen


def _show(case: str, attachments: list[Attachment], *, wants_json: bool) -> None:
    from eft.client.progress import printable

    if wants_json:
        files = [
            {
                "id": one.id,
                "name": one.name,
                "size": one.size,
                "sha256": one.sha256,
                "source": one.source,
                "received_at": one.received_at,
            }
            for one in attachments
        ]
        click.echo(json.dumps({"ok": True, "case": case, "files": files}, ensure_ascii=False))
        return
    for one in attachments:
        click.echo(printable(f"{one.size:>15}  {one.received_at[:16].replace('T', ' ')}  {one.source:<8} {one.name}"))
    if not attachments:
        click.echo("The case has no files.", err=True)
