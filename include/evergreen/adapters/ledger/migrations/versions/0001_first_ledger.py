"""The first ledger: files, requests, decisions, trainings, studies, deployments, drift.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table of the ledger."""
    _create_decisions()
    _create_deployments()
    _create_drift_reports()
    _create_files()
    _create_images()
    _create_landed()
    _create_monitored()
    _create_requests()
    _create_segments()
    _create_studies()
    _create_trainings()
    _create_orphaned_trials()
    _create_tickets()


def _create_decisions() -> None:
    op.create_table(
        "evergreen_decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evergreen_decisions")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_evergreen_decisions_model_last_seen"),
        "evergreen_decisions",
        ["model", "last_seen"],
        unique=False,
    )


def _create_deployments() -> None:
    op.create_table(
        "evergreen_deployments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("service_name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("service", sa.JSON(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("live_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evergreen_deployments")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_evergreen_deployments_model_state"),
        "evergreen_deployments",
        ["model", "state"],
        unique=False,
    )
    op.create_index(
        "uq_evergreen_deployments_one_live",
        "evergreen_deployments",
        ["model", "environment"],
        unique=True,
        sqlite_where=sa.text("state = 'live'"),
        postgresql_where=sa.text("state = 'live'"),
    )


def _create_drift_reports() -> None:
    op.create_table(
        "evergreen_drift_reports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evergreen_drift_reports")),
        sa.UniqueConstraint(
            "model", "digest", name=op.f("uq_evergreen_drift_reports_model_digest")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_evergreen_drift_reports_model_last_seen"),
        "evergreen_drift_reports",
        ["model", "last_seen"],
        unique=False,
    )


def _create_files() -> None:
    op.create_table(
        "evergreen_files",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("contract_digest", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("outcome", sa.JSON(), nullable=True),
        sa.Column("rows_appended", sa.BigInteger(), nullable=False),
        sa.Column("rows_quarantined", sa.BigInteger(), nullable=False),
        sa.Column("data_version", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint(
            "model", "digest", "contract_digest", name=op.f("pk_evergreen_files")
        ),
    )
    op.create_index(
        op.f("ix_evergreen_files_model_finished_at"),
        "evergreen_files",
        ["model", "finished_at"],
        unique=False,
    )


def _create_images() -> None:
    op.create_table(
        "evergreen_images",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.Column("image", sa.JSON(), nullable=False),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", "runtime", name=op.f("pk_evergreen_images")),
    )


def _create_landed() -> None:
    op.create_table(
        "evergreen_landed",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", "uri", name=op.f("pk_evergreen_landed")),
    )


def _create_monitored() -> None:
    op.create_table(
        "evergreen_monitored",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("marker", sa.JSON(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_evergreen_monitored")),
    )


def _create_requests() -> None:
    op.create_table(
        "evergreen_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("training_key", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evergreen_requests")),
        sa.UniqueConstraint("model", "cause", name=op.f("uq_evergreen_requests_model_cause")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_evergreen_requests_model_answered_at"),
        "evergreen_requests",
        ["model", "answered_at"],
        unique=False,
    )


def _create_segments() -> None:
    op.create_table(
        "evergreen_segments",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", "digest", name=op.f("pk_evergreen_segments")),
    )


def _create_studies() -> None:
    op.create_table(
        "evergreen_studies",
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("trials", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("study", name=op.f("pk_evergreen_studies")),
    )


def _create_trainings() -> None:
    op.create_table(
        "evergreen_trainings",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("snapshot", sa.JSON(), nullable=False),
        sa.Column("mlflow_run_id", sa.Text(), nullable=True),
        sa.Column("judgement", sa.JSON(), nullable=True),
        sa.Column("candidate", sa.JSON(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_evergreen_trainings")),
        sa.UniqueConstraint("model", "version", name=op.f("uq_evergreen_trainings_model_version")),
    )
    op.create_index(
        op.f("ix_evergreen_trainings_model_opened_at"),
        "evergreen_trainings",
        ["model", "opened_at"],
        unique=False,
    )


def _create_orphaned_trials() -> None:
    op.create_table(
        "evergreen_orphaned_trials",
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("trial_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["study"], ["evergreen_studies.study"], name=op.f("fk_evergreen_orphaned_trials_study")
        ),
        sa.PrimaryKeyConstraint("study", "trial_number", name=op.f("pk_evergreen_orphaned_trials")),
    )


def _create_tickets() -> None:
    op.create_table(
        "evergreen_tickets",
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trial_number", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["study"], ["evergreen_studies.study"], name=op.f("fk_evergreen_tickets_study")
        ),
        sa.PrimaryKeyConstraint("study", "number", name=op.f("pk_evergreen_tickets")),
    )
