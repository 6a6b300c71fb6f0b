"""The facts: tables, repositories, the engine that commits durably, migrations. Nothing else in eft imports SQLAlchemy.

`Database` (engine.py) runs plain functions on a connection; the repositories (one module a table or two) are such functions.
"""

from eft.db.engine import Connection, Database

__all__ = ["Connection", "Database"]
