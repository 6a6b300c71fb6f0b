"""The schema that the migrations make is the one that the tables describe, however many processes make it at once."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from pathlib import Path
import subprocess
import sys

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
import pytest
from sqlalchemy import Table, inspect, text

import eft.db
from eft.db import tables
from eft.db.audit import AuditRecord
from eft.db.engine import Database
from eft.db.tokens import ApiToken, UploadToken
from eft.domain.account import TemporaryAccount
from eft.domain.attachment import Attachment
from eft.domain.case import Case
from eft.domain.errors import UnsafeSetting
from eft.domain.upload import SegmentFacts, Upload

UPGRADE = "import sys; from eft.db.engine import Database; Database(sys.argv[1]).upgrade()"


def test_the_migrated_schema_equals_the_tables(empty_url: str) -> None:
    database = Database(empty_url)
    database.upgrade()
    with database.engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, tables.metadata) == []
    database.engine.dispose()


def test_the_migrated_checks_equal_those_of_the_tables(empty_url: str) -> None:
    database = Database(empty_url)
    database.upgrade()
    migrated = _checks(database)
    with database.engine.connect() as conn:
        conn.exec_driver_sql("DROP TABLE alembic_version")
        tables.metadata.drop_all(conn)
        tables.metadata.create_all(conn)
        conn.commit()
    assert _checks(database) == migrated
    assert sum(len(checks) for checks in migrated.values()) > 15
    database.engine.dispose()


def test_the_newest_revision_is_the_one_the_program_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(eft.db.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [tables.SCHEMA]


def test_upgrading_again_changes_nothing(url: str) -> None:
    database = Database(url)
    database.upgrade()
    database.upgrade()
    database.engine.dispose()


async def test_processes_that_start_at_once_upgrade_once(empty_url: str) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", UPGRADE, empty_url]) for _ in range(4)]
    codes = [await asyncio.to_thread(process.wait, 60) for process in processes]
    assert codes == [0, 0, 0, 0]
    database = Database(empty_url)
    await database.open()
    await database.close()


async def test_a_database_without_the_schema_is_not_opened(empty_url: str) -> None:
    database = Database(empty_url)
    with pytest.raises(UnsafeSetting, match="missing"):
        await database.open()
    await database.close()


async def test_a_schema_from_a_newer_program_is_neither_opened_nor_upgraded(url: str) -> None:
    database = Database(url)
    with database.engine.connect() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        conn.commit()
    with pytest.raises(UnsafeSetting, match="9999"):
        await database.open()
    with pytest.raises(UnsafeSetting, match="unknown"):
        await asyncio.to_thread(database.upgrade)
    await database.close()


@pytest.mark.parametrize(
    ("table", "kind", "apart"),
    [
        (tables.cases, Case, set()),
        (tables.uploads, Upload, {"segments"}),
        (tables.segments, SegmentFacts, set()),
        (tables.attachments, Attachment, set()),
        (tables.accounts, TemporaryAccount, set()),
        (tables.api_tokens, ApiToken, set()),
        (tables.upload_tokens, UploadToken, set()),
        (tables.audit, AuditRecord, set()),
    ],
    ids=lambda value: value.name if isinstance(value, Table) else None,
)
def test_a_table_has_the_fields_of_its_record(table: Table, kind: type, apart: set[str]) -> None:
    assert {column.name for column in table.columns} == {field.name for field in fields(kind)} - apart


def _checks(database: Database) -> dict[str, dict[str | None, str]]:
    inspector = inspect(database.engine)
    return {
        table: {check["name"]: check["sqltext"] for check in inspector.get_check_constraints(table)}
        for table in tables.metadata.tables
    }
