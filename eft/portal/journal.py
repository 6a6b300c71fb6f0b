"""The portal's own log of who did what. What is done to files and accounts stands in the gateways' audit logs as well."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert

from eft.portal.tables import journal


def note(
    conn: Connection, *, at: datetime, email: str, address: str, action: str, case_id: str | None = None, detail: str = ""
) -> None:
    conn.execute(insert(journal).values(at=at, email=email[:254], address=address, action=action, case_id=case_id, detail=detail))
