"""`eft account`: the temporary SFTP account of a case."""

from __future__ import annotations

from typing import TextIO

import click

from eft.accounts.temporary import Credentials
from eft.bootstrap.services import Services
from eft.cli.acting import act, operator
from eft.cli.command import Group, show, with_config
from eft.config import Config
from eft.db.account_keys import AccountKey
from eft.domain.public_key import LONGEST_TEXT
from eft.sftp_temp.host_keys import fingerprints


@click.group(cls=Group)
def account() -> None:
    """The temporary SFTP account of a case: 120 hours, one alive at a time."""


@account.command()
@click.argument("case_id", metavar="CASE")
@with_config
def create(config: Config, case_id: str) -> None:
    """Create an account for an open case. One that is alive is replaced, and its sessions are cut.

    \b
    Example:
      eft account create C-1042 --config /etc/eft/us.toml
    """
    _show(config, act(config, lambda services: services.accounts.issue(case_id, operator())))


@account.command("show")
@click.argument("case_id", metavar="CASE")
@with_config
def show_account(config: Config, case_id: str) -> None:
    """Show the account that is alive, with its password. Every look is in the audit log.

    \b
    Example:
      eft account show C-1042 --json
    """
    _show(config, act(config, lambda services: services.accounts.show(case_id, operator())))


@account.command()
@click.argument("case_id", metavar="CASE")
@with_config
def revoke(config: Config, case_id: str) -> None:
    """End the account of a case and its sessions. Repeatable.

    \b
    Example:
      eft account revoke C-1042
    """
    act(config, lambda services: services.accounts.revoke(case_id, operator()))
    show({"case": case_id, "account": None}, f"Case {case_id} has no account that is alive.")


@account.group(cls=Group)
def key() -> None:
    """Public keys by which the holder of the account may sign in too."""


@key.command("add")
@click.argument("case_id", metavar="CASE")
@click.argument("file", type=click.File("r", errors="replace"))
@with_config
def add_key(config: Config, case_id: str, file: TextIO) -> None:
    """Register the public key in FILE (- for standard input) with the account that is alive. Repeatable.

    \b
    Example:
      eft account key add C-1042 id_ed25519.pub
    """
    text = file.read(LONGEST_TEXT + 1)
    added, _ = act(config, lambda services: services.accounts.public_keys.register(case_id, text, operator()))
    show(_described(added), f"Registered with the account of case {case_id}: {added.kind} {added.fingerprint}")


@key.command("list")
@click.argument("case_id", metavar="CASE")
@with_config
def list_keys(config: Config, case_id: str) -> None:
    """List the public keys of the account that is alive.

    \b
    Example:
      eft account key list C-1042
    """
    found = act(config, lambda services: services.accounts.public_keys.of_case(case_id))
    lines = [
        f"{each.fingerprint}  {each.kind}  {each.added_at:%Y-%m-%d %H:%M} UTC  {each.added_by}  {each.comment}" for each in found
    ]
    show({"keys": [_described(each) for each in found]}, "\n".join(lines) or f"The account of case {case_id} has no public keys.")


@key.command("remove")
@click.argument("case_id", metavar="CASE")
@click.argument("fingerprint")
@with_config
def remove_key(config: Config, case_id: str, fingerprint: str) -> None:
    """Remove the public key of FINGERPRINT (SHA256:…); connections that it has opened go on.

    \b
    Example:
      eft account key remove C-1042 SHA256:yVoCRG8sDUP8Tqw2lQw4Kz1vNd6waRKRtMwcmTef4bg
    """

    async def work(services: Services) -> None:
        keys = services.accounts.public_keys
        found = next((each.id for each in await keys.of_case(case_id) if each.fingerprint == fingerprint), "")
        await keys.remove(case_id, found, operator())

    act(config, work)
    show({"case": case_id, "removed": fingerprint}, f"{fingerprint} opens the account of case {case_id} no more.")


def _described(key: AccountKey) -> dict[str, object]:
    return {
        "id": key.id,
        "type": key.kind,
        "bits": key.bits,
        "fingerprint": key.fingerprint,
        "comment": key.comment,
        "added_at": key.added_at,
        "added_by": key.added_by,
    }


def _show(config: Config, credentials: Credentials) -> None:
    issued = credentials.account
    host, port = config.region.sftp_host, config.sftp.port
    known_by = tuple(fingerprints(config.sftp.host_keys))
    lines = [
        f"Account for case {issued.case_id}, until {issued.expires_at:%Y-%m-%d %H:%M:%S} UTC",
        f"  user name  {issued.username}",
        f"  password   {credentials.password}",
        f"  host       {host}, port {port}",
        *(f"  host key   {fingerprint}" for fingerprint in known_by),
        f"  command    sftp -P {port} {issued.username}@{host}",
    ]
    show(
        {
            "username": issued.username,
            "password": credentials.password,
            "host": host,
            "port": port,
            "host_key_fingerprints": known_by,
            "expires_at": issued.expires_at,
        },
        "\n".join(lines),
    )
