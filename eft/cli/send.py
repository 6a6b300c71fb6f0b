"""`eft send`: files and folders to a case, from a shell."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from eft.cli import customer


@click.command(epilog=customer.EXIT_CODES)
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@customer.line_options("--to", "go")
@click.option("--name", help="The name in the case: for standard input (-), or for the only file.")
@click.option(
    "--follow-links", is_flag=True, help="Within folders, send what symbolic links lead to; they are left out otherwise."
)
@click.option(
    "--digest-first", is_flag=True, help="Read each file twice, so that the gateway itself refuses it where it arrives changed."
)
@click.option("--receipts", metavar="DIR", help="Save the gateway's receipt of each file there.")
def send(
    paths: tuple[str, ...],
    url: str,
    token_file: str | None,
    ca: str | None,
    proxy: str | None,
    parallel: int,
    give_up_after: float,
    quiet: bool,
    wants_json: bool,
    name: str | None,
    follow_links: bool,
    digest_first: bool,
    receipts: str | None,
) -> None:
    """Send files to the case that the token is for. A folder goes with all that is in it; - is standard input.

    What is cut is tried again and goes on where it was; so does the same command when it is run again. At the end the SHA-256 of
    what the gateway has is compared with that of what was read here.

    The token comes from --token-file, from EFT_TOKEN, or is asked for.

    \b
    Examples:
      eft send core.dump logs/ --to https://eftgateway-us.example.com --token-file token.txt
      journalctl -b | eft send - --name journal.txt --to https://eftgateway-us.example.com
    """
    import threading

    from eft.client.clock import MonotonicClock
    from eft.client.crew import Outcome, work_through
    from eft.client.errors import ClientError
    from eft.client.sending import Sent, Terms
    from eft.client.sending import send as send_one
    from eft.client.sources import STDIN, Item, find_items
    from eft.client.unfinished import Unfinished

    customer.heed_termination()
    stop = threading.Event()
    skipped: list[tuple[str, str]] = []
    done: list[dict[str, Any]] = []
    errors: list[tuple[str, ClientError]] = []
    advice = f"Run the same command again to go on: {_command()}"
    try:
        items = find_items(paths, name=name, follow_links=follow_links, skipped=lambda *told: skipped.append(told))
        if token_file == "-" and STDIN in paths:
            raise click.UsageError("Standard input cannot be both the token and a file.")
        gateway = customer.open_gateway(url, token_file, ca, proxy, may_ask=STDIN not in paths)
        total = sum(item.size or 0 for item in items)
        watcher = customer.watcher(total, len(items), quiet=quiet or wants_json)
        unfinished = Unfinished()
        terms = Terms(
            gateway=gateway,
            unfinished=unfinished,
            stop=stop,
            watcher=watcher,
            clock=MonotonicClock(),
            give_up_after_s=give_up_after,
            digest_first=digest_first,
        )

        def work(item: Item) -> tuple[Sent, str | None]:
            sent = send_one(item, terms)
            if receipts is None:
                return sent, None
            receipt = customer.saved_receipt(gateway, sent.location.rsplit("/", 1)[-1], receipts, sent.name)
            if receipt is None:
                watcher.note(item, "the gateway gives no receipts")
            return sent, receipt

        def ended(outcome: Outcome[Item, tuple[Sent, str | None]]) -> None:
            if outcome.error is not None:
                errors.append((outcome.item.name, outcome.error))
                watcher.ended(outcome.item, f"{outcome.item.name}  not sent")
                return
            assert outcome.result is not None
            sent, receipt = outcome.result
            already = "  was there already" if sent.resumed and sent.resumed == sent.size else ""
            done.append(_as_json(sent, receipt))
            watcher.ended(outcome.item, f"{sent.name}  {sent.size} bytes  sha256 {sent.sha256}  verified{already}")

        with watcher:
            for path, why in skipped:
                watcher.say(f"{path}: left out, {why}")
            outcomes = work_through(items, work, at_once=parallel, stop=stop, ended=ended)
        if len(done) == len(items):
            arrived = [outcome.result[0] for outcome in outcomes if outcome.result]
            unfinished.forget_done([(sent.record, sent.location) for sent in arrived])
    except ClientError as error:
        customer.fail(error, wants_json=wants_json)
    except KeyboardInterrupt:
        customer.interrupted(wants_json=wants_json, files=done, advice=advice)
    else:
        left = len(items) - len(done) - len(errors)
        customer.end(done, errors, wants_json=wants_json, left=left)


def _as_json(sent: Any, receipt: str | None) -> dict[str, Any]:
    told = {
        "name": sent.name,
        "size": sent.size,
        "sha256": sent.sha256,
        "verified": True,
        "id": sent.location.rsplit("/", 1)[-1],
        "resumed": sent.resumed,
    }
    return told if receipt is None else told | {"receipt": receipt}


def _command() -> str:
    return shlex.join(["eft", *sys.argv[1:]])
