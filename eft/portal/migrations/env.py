"""Run by Alembic: applies revisions within the connection and transaction that eft.portal.database hands over."""

from alembic import context

from eft.portal.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite's schema changes are transactional too; Alembic assumes otherwise
)
with context.begin_transaction():
    context.run_migrations()
