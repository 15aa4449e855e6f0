"""The journal: what was decided about a model, in a chain that nobody can change unseen.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of entries. What happened before it came is not told after the fact."""
    op.create_table(
        "evergreen_journal",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("anchored_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("model", "number", name=op.f("pk_evergreen_journal")),
        sa.UniqueConstraint("model", "event", name=op.f("uq_evergreen_journal_model_event")),
    )
