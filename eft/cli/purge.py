"""`eft purge`: destroy the data of cases that were closed 30 days ago or more, now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from eft.cli.acting import act, operator
from eft.cli.command import Command, show, with_config
from eft.config import Config
from eft.domain.retention import Verdict
from eft.retention.purge import Planned, PurgeReport

_WHY = {
    Verdict.DUE: "would be purged",
    Verdict.HELD: "kept: under a legal hold",
    Verdict.UNKNOWN: "kept: the case system gives no answer",
    Verdict.DISAGREES: "kept: the case system says that it is not closed, or at another time",
    Verdict.NOT_CLOSED: "kept: it was reopened",
    Verdict.NOT_YET: "kept: it was closed again",
    Verdict.PURGED: "is purged",
}


@click.command(cls=Command)
@click.option("--dry-run", is_flag=True, help="Say what would be purged, and change nothing.")
@with_config
def purge(config: Config, dry_run: bool) -> None:
    """Purge every case that is due: destroy its key, delete its bytes, see that they are gone.

    Running workers do so by themselves. What cannot be purged is reported, and the command ends with 1.

    \b
    Example:
      eft purge --dry-run
    """
    if dry_run:
        planned = act(config, lambda services: services.purge.plan())
        show({"cases": [asdict(plan) for plan in planned]}, _plan_text(planned))
        return
    report = act(config, lambda services: services.purge.run_due(operator()))
    show({"purged": report.purged, "kept": report.kept, "failed": report.failed}, _report_text(report))
    if report.failed:
        click.get_current_context().exit(1)


def _plan_text(planned: Sequence[Planned]) -> str:
    if not planned:
        return "Nothing is due."
    return "\n".join(
        f"{plan.case_id}  {_WHY[plan.verdict]}"
        + (f" ({plan.attachments} files, {plan.size} bytes; {plan.unfinished} unfinished)" if plan.verdict is Verdict.DUE else "")
        for plan in planned
    )


def _report_text(report: PurgeReport) -> str:
    lines = [f"{case_id}  purged" for case_id in report.purged]
    lines += [f"{case_id}  {_WHY[verdict]}" for case_id, verdict in report.kept.items()]
    lines += [f"{case_id}  FAILED ({code}); it is tried again" for case_id, code in report.failed.items()]
    return "\n".join(lines) or "Nothing is due."
