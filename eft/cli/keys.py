"""`eft keys`: the region's master key and key store."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from eft.bootstrap.services import Services, create_keys
from eft.cli.acting import act, operator
from eft.cli.command import Group, show, with_config
from eft.config import Config
from eft.db.receipt_keys import ReceiptKey
from eft.domain.case import PurgeState
from eft.domain.errors import KeyUnavailable, Purged
from eft.sftp_temp.host_keys import fingerprints, sshfp_records
from eft.storage.ports import KeyReport


@click.group(cls=Group)
def keys() -> None:
    """The master key and the key store: without both, no stored byte can be read."""


@keys.command()
@with_config
def create(config: Config) -> None:
    """Make the master key and an empty key store for a new gateway. Refused where there is a key store: none is ever replaced.

    \b
    Example:
      eft keys create --config /etc/eft/us.toml
    """
    create_keys(config)
    file = config.keys.master_key_file
    show(
        {"master_key_file": file, "generation": 1},
        f"The master key is in {file}. Keep a copy where no backup of the data lies: without it, no data can be read.",
    )


@keys.command()
@with_config
def check(config: Config) -> None:
    """Read every slot of the key store, and look for the key of every case. Ends with 1 where something is wrong.

    \b
    Example:
      eft keys check --json
    """

    async def work(services: Services) -> tuple[KeyReport, list[str]]:
        return await asyncio.to_thread(services.keys.check), await _out_of_reach(services)

    report, missing = act(config, work)
    lines = [
        f"Master key generation {report.generation}: {report.live} case keys, {report.secrets} passwords and receipt keys, "
        f"{report.tombstones} tombstones."
    ]
    lines += ["A rotation was interrupted: run `eft keys rotate` again."] if report.rotating else []
    lines += (
        [f"Slots with only one good copy: {_list(report.single)}. Run `eft keys rotate` to mend them."] if report.single else []
    )
    lines += [f"Slots that cannot be read: {_list(report.broken)}. Put keys/slots back from a backup."] if report.broken else []
    lines += [f"Cases whose key cannot be had: {', '.join(missing)}. Put keys/slots back from a backup."] if missing else []
    show({**asdict(report), "cases_without_key": missing}, "\n".join(lines))
    if report.broken or missing:
        click.get_current_context().exit(1)


@keys.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_config
def export(config: Config, file: Path) -> None:
    """Copy the key store to a new FILE for a backup: sealed, without the master key. Delete each copy within seven days.

    \b
    Example:
      eft keys export /backup/us-keys-2026-11-23
    """
    act(config, lambda services: asyncio.to_thread(services.keys.export, file.absolute()))
    show(
        {"file": file.absolute()},
        f"The key store is in {file}, sealed under the master key. Purges reach it only by deleting it.",
    )


@keys.command()
@with_config
def rotate(config: Config) -> None:
    """Seal every key anew under a new master key, and destroy the old one: old copies of the key store cannot be read any more.

    A gateway does it by itself every week. Workers may be running.

    \b
    Example:
      eft keys rotate
    """
    generation = act(config, lambda services: services.rotation.rotate(operator()))
    show({"generation": generation}, f"The keys are sealed under generation {generation}; the ones before are destroyed.")


@keys.command("receipt-key")
@click.option(
    "--rotate", "wants_new", is_flag=True, help="Sign with a new key from now on. What the old ones signed still verifies."
)
@with_config
def receipt_key(config: Config, wants_new: bool) -> None:
    """Show the keys that sign receipts, newest first; the first one signs. With --json: their public halves as a JWK set.

    A gateway publishes them at /.well-known/eft-receipt-keys.json. Workers may be running.

    \b
    Examples:
      eft keys receipt-key --json > us-receipt-keys.json
      eft keys receipt-key --rotate
    """

    async def work(services: Services) -> tuple[dict[str, Any], list[ReceiptKey]]:
        if wants_new:
            await services.signing_keys.rotate(operator())
        return await services.receipts.published_keys(), await services.signing_keys.known()

    published, known = act(config, work)
    lines = [f"{key.kid}  since {key.made_at:%Y-%m-%d %H:%M} UTC{_until(key)}" for key in known]
    show(published, "\n".join(lines))


@keys.command("host-keys")
@with_config
def host_keys(config: Config) -> None:
    """Show the SSH host keys: fingerprints as clients show them, and SSHFP records for the zone of a signed domain.

    \b
    Example:
      eft keys host-keys --config /etc/eft/us.toml
    """
    prints, records = fingerprints(config.sftp.host_keys), sshfp_records(config.region.sftp_host, config.sftp.host_keys)
    show({"fingerprints": prints, "sshfp": records}, "\n".join([*prints, "", *records]))


async def _out_of_reach(running: Services) -> list[str]:
    """The cases that have a key according to the database, and none that can be had according to the key store; their ids."""
    lost: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await running.cases.page(cursor, 1000)
        for case in page:
            if case.key_slot is not None and case.purge is PurgeState.NONE:
                try:
                    await asyncio.to_thread(running.keys.case_key, case.key_slot, case.uid)
                except (KeyUnavailable, Purged):
                    lost.append(case.id)
        if cursor is None:
            return lost


def _until(key: ReceiptKey) -> str:
    return ", signs" if key.retired_at is None else f", retired {key.retired_at:%Y-%m-%d %H:%M} UTC"


def _list(slots: tuple[int, ...]) -> str:
    return ", ".join(str(slot) for slot in slots)
