"""Which piece of work of a training took how many compute seconds, and when.

Revision ID: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of charges: a budget of 24 hours needs to know when the seconds were used."""
    op.create_table(
        "evergreen_compute",
        sa.Column("training_key", sa.Text(), nullable=False),
        sa.Column("work", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("charged_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "training_key", "work", "began_at", name=op.f("pk_evergreen_compute")
        ),
    )
    op.create_index(
        op.f("ix_evergreen_compute_model_charged_at"), "evergreen_compute", ["model", "charged_at"]
    )
