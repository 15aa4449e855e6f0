"""The ledger's tables as the newest migration leaves them; a test holds the two together.

Every table carries the prefix `evergreen_`, so that the ledger may share a database with
Airflow or MLflow. Primary keys are what the work is; numbers are given out only where something
needs an age (requests, deployments) and are never used twice.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)

from include.evergreen.adapters.ledger.types import Document, Instant, Words

#: The newest migration. A ledger at this revision is opened without importing Alembic.
HEAD = "0004"
VERSION_TABLE = "evergreen_ledger_version"
PREFIX = "evergreen_"

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

FILES = Table(
    "evergreen_files",
    METADATA,
    Column("model", Words, primary_key=True),
    Column("digest", Words, primary_key=True),
    Column("contract_digest", Words, primary_key=True),
    Column("uri", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("owner", Words, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("claimed_at", Instant, nullable=False),
    Column("lease_until", Instant, nullable=False),
    Column("state", Words),  # null while claimed, then the outcome's
    Column("outcome", Document),
    Column("rows_appended", BigInteger, nullable=False, default=0),
    Column("rows_quarantined", BigInteger, nullable=False, default=0),
    Column("data_version", BigInteger),
    Column("finished_at", Instant),
    Index(None, "model", "finished_at"),
)

LANDED = Table(
    "evergreen_landed",
    METADATA,
    Column("model", Words, primary_key=True),
    Column("uri", Words, primary_key=True),
    Column("fingerprint", Words, nullable=False),
    Column("digest", Words, nullable=False),
    Column("acknowledged_at", Instant, nullable=False),
)

REQUESTS = Table(
    "evergreen_requests",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("cause", Words, nullable=False),
    Column("details", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("training_key", Words),
    Column("outcome", Words),  # null while pending
    Column("why", Words),
    Column("answered_at", Instant),
    UniqueConstraint("model", "cause"),
    Index(None, "model", "answered_at"),
    sqlite_autoincrement=True,
)

DECISIONS = Table(
    "evergreen_decisions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", Words, nullable=False),
    Column("stage", Words, nullable=False),
    Column("verdict", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("details", Document, nullable=False),
    Column("count", Integer, nullable=False),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Index(None, "model", "last_seen"),
    sqlite_autoincrement=True,
)

TRAININGS = Table(
    "evergreen_trainings",
    METADATA,
    Column("key", Words, primary_key=True),
    Column("model", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("owner", Words, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("snapshot", Document, nullable=False),
    Column("mlflow_run_id", Words),
    Column("judgement", Document),
    Column("candidate", Document),
    Column("version", Integer),
    Column("why", Words),
    Column("opened_at", Instant, nullable=False),
    Column("judged_at", Instant),
    Column("registered_at", Instant),
    Column("failed_at", Instant),
    Column("compute_seconds", Float),
    UniqueConstraint("model", "version"),
    Index(None, "model", "opened_at"),
)

COMPUTE = Table(
    "evergreen_compute",
    METADATA,
    Column("training_key", Words, primary_key=True),
    Column("work", Words, primary_key=True),
    Column("began_at", Instant, primary_key=True),
    Column("model", Words, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("charged_at", Instant, nullable=False),
    Index(None, "model", "charged_at"),
)

STUDIES = Table(
    "evergreen_studies",
    METADATA,
    Column("study", Words, primary_key=True),
    Column("run", Words, nullable=False),
    Column("trials", Integer, nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("deadline", Instant, nullable=False),
)

TICKETS = Table(
    "evergreen_tickets",
    METADATA,
    Column("study", Words, ForeignKey("evergreen_studies.study"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", Words, nullable=False),
    Column("worker", Words),
    Column("lease_until", Instant),
    Column("trial_number", Integer),
)

ORPHANS = Table(
    "evergreen_orphaned_trials",
    METADATA,
    Column("study", Words, ForeignKey("evergreen_studies.study"), primary_key=True),
    Column("trial_number", Integer, primary_key=True, autoincrement=False),
    Column("reported_at", Instant),
)

LEASES = Table(
    "evergreen_leases",
    METADATA,
    Column("subject", Words, primary_key=True),
    Column("owner", Words, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("taken_at", Instant, nullable=False),
    Column("lease_until", Instant, nullable=False),
)

IMAGES = Table(
    "evergreen_images",
    METADATA,
    Column("model", Words, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("runtime", Words, primary_key=True),
    Column("image", Document, nullable=False),
    Column("built_at", Instant, nullable=False),
)

DEPLOYMENTS = Table(
    "evergreen_deployments",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", Words, nullable=False),
    Column("version", Integer, nullable=False),
    Column("environment", Words, nullable=False),
    Column("service_name", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("service", Document),
    Column("reason", Words, nullable=False),
    Column("checks", Document, nullable=False),
    Column("begun_at", Instant, nullable=False),
    Column("live_at", Instant),
    Column("ended_at", Instant),
    Index(
        "uq_evergreen_deployments_one_live",
        "model",
        "environment",
        unique=True,
        sqlite_where=text("state = 'live'"),
        postgresql_where=text("state = 'live'"),
    ),
    Index(None, "model", "state"),
    sqlite_autoincrement=True,
)

DRIFT_REPORTS = Table(
    "evergreen_drift_reports",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", Words, nullable=False),
    Column("digest", Words, nullable=False),
    Column("verdict", Words, nullable=False),
    Column("report", Document, nullable=False),
    Column("count", Integer, nullable=False),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    UniqueConstraint("model", "digest"),
    Index(None, "model", "last_seen"),
    sqlite_autoincrement=True,
)

MONITORED = Table(
    "evergreen_monitored",
    METADATA,
    Column("model", Words, primary_key=True),
    Column("marker", Document, nullable=False),
    Column("set_at", Instant, nullable=False),
)

SEGMENTS = Table(
    "evergreen_segments",
    METADATA,
    Column("model", Words, primary_key=True),
    Column("digest", Words, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)

JOURNAL = Table(
    "evergreen_journal",
    METADATA,
    Column("model", Words, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("event", Words, nullable=False),
    Column("document", Words, nullable=False),  # the very text that was hashed
    Column("previous", Words, nullable=False),
    Column("digest", Words, nullable=False),
    Column("anchored_at", Instant),
    UniqueConstraint("model", "event"),
)
