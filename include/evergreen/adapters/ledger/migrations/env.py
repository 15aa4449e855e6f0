"""Runs migrations on the connection that the ledger hands over, inside its transaction.

There is no alembic.ini and no URL here: see `migrate.upgrade`. A new migration is written by hand
into `versions/`; `python -m include.evergreen.adapters.ledger check` says what it lacks.
"""

from __future__ import annotations

from alembic import context

from include.evergreen.adapters.ledger import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.METADATA,
    version_table=schema.VERSION_TABLE,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
