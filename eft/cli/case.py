"""`eft case`: close, reopen, hold."""

from __future__ import annotations

import click

from eft.bootstrap.services import Services
from eft.cli.acting import act, operator
from eft.cli.command import Group, show, with_config
from eft.config import Config
from eft.domain.case import Case, SubStatus


@click.group(cls=Group)
def case() -> None:
    """Close, reopen or hold a case."""


@case.command()
@click.argument("case_id", metavar="CASE")
@click.option(
    "--sub-status",
    type=click.Choice([status.value for status in SubStatus]),
    default=SubStatus.RESOLVED.value,
    show_default=True,
    help="Why it is closed.",
)
@click.option("--comment", default="", help="A word on it.")
@with_config
def close(config: Config, case_id: str, sub_status: str, comment: str) -> None:
    """Close a case: its account ends, its unfinished uploads freeze, its data is purged 30 days later. Repeatable.

    \b
    Example:
      eft case close C-1042 --sub-status resolved --comment "Fixed by patch 7"
    """

    async def work(services: Services) -> Case:
        closed = await services.cases.close(case_id, sub_status=SubStatus(sub_status), comment=comment, actor=operator())
        await services.accounts.erase_due()
        return closed

    closed = act(config, work)
    _show(closed, f"Case {case_id} is closed. Its data is purged from {closed.purge_at:%Y-%m-%d %H:%M:%S} UTC on.")


@case.command()
@click.argument("case_id", metavar="CASE")
@click.option("--reason", required=True, help="What is new.")
@click.option(
    "--by", type=click.Choice(["staff", "customer"]), default="staff", show_default=True, help="A customer may for 30 days only."
)
@with_config
def reopen(config: Config, case_id: str, reason: str, by: str) -> None:
    """Reopen a case: its frozen uploads go on, the purge is called off. It needs a new account.

    \b
    Example:
      eft case reopen C-1042 --reason "It happened again"
    """
    reopened = act(
        config,
        lambda services: services.cases.reopen(case_id, reason=reason, by_customer=by == "customer", actor=operator()),
    )
    _show(reopened, f"Case {case_id} is {reopened.status.value}.")


@case.command()
@click.argument("case_id", metavar="CASE")
@click.option("--reason", help="Why it is held.")
@click.option("--release", is_flag=True, help="Release the hold.")
@with_config
def hold(config: Config, case_id: str, reason: str | None, release: bool) -> None:
    """Put a case under a legal hold: nothing of it is purged until it is released.

    \b
    Examples:
      eft case hold C-1042 --reason "Litigation 2026-17"
      eft case hold C-1042 --release
    """
    if release == bool(reason):
        raise click.UsageError("Give either --reason TEXT or --release.")

    async def work(services: Services) -> Case:
        if release:
            await services.cases.release_hold(case_id, operator())
            return await services.cases.get(case_id)
        return await services.cases.hold(case_id, reason=reason or "", actor=operator())

    _show(act(config, work), f"Case {case_id} is {'not ' if release else ''}under a legal hold.")


def _show(case: Case, text: str) -> None:
    show(
        {
            "id": case.id,
            "status": case.status,
            "sub_status": case.sub_status,
            "closed_at": case.closed_at,
            "purge_at": case.purge_at,
            "hold_reason": case.hold_reason,
            "purge": case.purge,
        },
        text,
    )
