"""These tests run on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("initdb", "postgres"))])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)
