"""A process that writes cases and tells each one's id as soon as it was told that it is stored.

Run as a module: the database's URL, the first number, how many, and how many at once (10).
"""

from __future__ import annotations

import asyncio
import sys

from eft.db import cases
from eft.db.engine import Database
from eft.domain.case import Case
from tests.contract.db.samples import a_case


async def write_many(url: str, first: int, count: int, at_once: int = 10) -> None:
    database = Database(url)
    await database.open()

    async def write(case: Case) -> None:
        await database.write(lambda conn: cases.insert(conn, case))
        sys.stdout.write(f"{case.id}\n")
        sys.stdout.flush()

    for burst in range(first, first + count, at_once):
        await asyncio.gather(*[write(a_case(n)) for n in range(burst, min(burst + at_once, first + count))])
    await database.close()


if __name__ == "__main__":
    asyncio.run(write_many(sys.argv[1], *map(int, sys.argv[2:])))
