"""`eft account`: the temporary SFTP account of a case."""

from __future__ import annotations

import click

from eft.accounts.temporary import Credentials
from eft.cli.acting import act, operator
from eft.cli.command import Group, show, with_config
from eft.config import Config
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
