"""`eft verify`: a receipt and a file, checked without asking the gateway."""

from __future__ import annotations

import json
from pathlib import Path
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from eft.client.errors import ClientError
    from eft.client.verifying import TrustedKey

_EPILOG = """
\b
Exit codes:
  0   the gateway signed the receipt, and the file is the one it received
  1   something else failed: the message says what
  2   the command is wrong, or a file cannot be read
  6   the receipt is good, and the file is another one
  11  the signature does not verify, the key is another gateway's, or it is no receipt
  12  the key that signed is not among the trusted ones, or none are known
"""


@click.command(epilog=_EPILOG)
@click.argument("receipt", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--keys",
    envvar="EFT_RECEIPT_KEYS",
    show_envvar=True,
    metavar="FILE|URL",
    help="The gateway's public keys: a file, or https://HOST:PORT to fetch them, which remembers them for later.",
)
@click.option("--ca", envvar="EFT_CA", show_envvar=True, metavar="FILE", help="PEM file of authorities to trust when fetching.")
@click.option("--json", "wants_json", is_flag=True, help="Answer in JSON.")
def verify(receipt: Path, file: Path, keys: str | None, ca: str | None, wants_json: bool) -> None:
    """Check that FILE is what a gateway received, by the RECEIPT that it signed.

    A receipt is never believed about its own key. The gateway's public keys come from --keys; without it, from what an earlier
    --keys https://… fetched and remembered, so that nothing has to be reached.

    \b
    Examples:
      eft verify trace.zip.receipt trace.zip --keys https://eftgateway-us.example.com
      eft verify trace.zip.receipt trace.zip --keys us-receipt-keys.json --json
    """
    from eft.client.errors import ClientError
    from eft.client.verifying import check_file, check_signature, read_receipt

    try:
        text = read_receipt(receipt)
        known = _keys(keys, ca)
        found = check_signature(text, known)
        with click.progressbar(
            length=found.facts["size"], label="Reading", file=sys.stderr, hidden=wants_json or not sys.stderr.isatty()
        ) as bar:
            done = 0

            def at(count: int) -> None:
                nonlocal done
                bar.update(count - done)
                done = count

            check_file(found, file, at)
    except ClientError as error:
        _fail(error, wants_json=wants_json)
    else:
        _tell(found.facts, found.kid, file, wants_json=wants_json)


def _keys(keys: str | None, ca: str | None) -> dict[str, TrustedKey]:
    from eft.client.errors import KeyUnknown
    from eft.client.pinned_keys import pin, pinned
    from eft.client.verifying import fetch_keys, read_keys

    if keys is None:
        known = pinned()
        if not known:
            raise KeyUnknown("No gateway's keys are known here.", "Name them: --keys FILE, or --keys https://HOST:PORT.")
        return known
    if "://" not in keys:
        return read_keys(Path(keys))
    fetched = fetch_keys(keys, ca)
    pin(fetched)
    return fetched


def _fail(error: ClientError, *, wants_json: bool) -> None:
    if wants_json:
        click.echo(json.dumps({"ok": False, "code": error.code, "detail": error.detail, "remedy": error.remedy}))
    else:
        click.echo(f"eft: {error}", err=True)
    sys.exit(error.exit_code)


def _tell(facts: Any, kid: str, file: Path, *, wants_json: bool) -> None:
    from eft.client.progress import printable

    if wants_json:
        click.echo(json.dumps({"ok": True, "file": str(file), "kid": kid, "receipt": facts}, ensure_ascii=False))
        return
    gone = facts.get("purge_at") or facts.get("purge_rule", "")
    lines = [
        f"Good: {file} is what the gateway received.",
        f"  name      {facts['name']}",
        f"  size      {facts['size']} bytes",
        f"  sha256    {facts['sha256']}",
        f"  case      {facts['case']}, region {facts['region']}",
        f"  received  {facts['received_at']} from {facts['who']}",
        f"  purged    {gone}",
        f"  signed    by {facts['issuer']}, key {kid}",
    ]
    if "disputed_sha256" in facts:
        lines.append(f"  disputed  a digest file that came with it says {facts['disputed_sha256']}")
    click.echo("\n".join(printable(line) for line in lines))
