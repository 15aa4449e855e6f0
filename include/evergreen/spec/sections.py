"""The sections of a model spec: every field with its type, its bounds and its default.

What one field may hold stands here; what fields may hold together stands in `rules`.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field, StrictInt, StrictStr

from include.evergreen.spec.base import ColumnName, Name, Section, Share
from include.evergreen.spec.release import (
    AbTest,
    Approval,
    ApprovalRules,
    Canary,
    Door,
    Shadow,
    Strategy,
    Watch,
)

CalendarPart = Literal[
    "hour",
    "weekday",
    "month",
    "day_of_month",
    "day_of_year",
    "week",
    "year",
    "holiday",
    "days_since_start",
]


class Column(Section):
    """The contract of one raw column."""

    type: Literal["float", "integer", "boolean", "category", "timestamp"]
    min: float | None = None
    max: float | None = None
    values: tuple[StrictStr | StrictInt, ...] | None = Field(
        default=None,
        description="Allowed values of a category. Left out: any value, up to max_categories.",
    )
    max_null_share: Share = Field(
        default=0.0, description="Share of missing values a file may have."
    )
    unseen: Literal["refuse", "as_missing"] = Field(
        default="refuse",
        description="What a value outside `values` gets: quarantine (a request: 422), or NaN.",
    )


class Labels(Section):
    """Targets that arrive later than their rows, joined by key."""

    landing: str
    key: ColumnName


class FileLimits(Section):
    """Bounds on one landed file, after decompression."""

    max_bytes: int = Field(default=4 * 2**30, ge=1, le=2**40)
    max_rows: int = Field(default=100_000_000, ge=1, le=10**10)
    max_columns: int = Field(
        default=1000, ge=1, le=100_000, description="Columns of a file, extra ones included."
    )
    max_text_length: int = Field(
        default=4096,
        ge=1,
        le=4096,
        description="Characters of a category or a key; a request may have 4,096 of them.",
    )
    max_categories: int = Field(default=1000, ge=2, le=100_000)
    max_duplicate_share: Share = 0.5
    max_quarantined_share: Share = Field(
        default=0.2,
        description="Above this share of bad rows the whole file stops and somebody is told.",
    )
    settle_s: float = Field(
        default=2.0, ge=0, le=3600, description="A file must be unchanged this long."
    )
    settle_timeout_s: float = Field(default=900.0, ge=1, le=86_400)


class Data(Section):
    """Where rows land, what they look like, and what may be wrong with them."""

    landing: str = Field(
        description="A directory (relative: under the Evergreen home) or s3://bucket/prefix/"
    )
    format: Literal["csv", "parquet", "jsonl"] = "csv"
    schedule: str | None = Field(default=None, description="A cron for ingest, beside the watcher.")
    poll_s: float = Field(default=1.0, ge=0.2, le=3600, description="How often the watcher looks.")
    time: ColumnName | None = None
    time_zone: str = Field(default="UTC", description="The zone of times written without one.")
    key: ColumnName | None = None
    target: ColumnName
    labels: Labels | None = None
    columns: dict[ColumnName, Column] = Field(min_length=1)
    limits: FileLimits = FileLimits()


class Ratio(Section):
    numerator: ColumnName
    denominator: ColumnName


class Bins(Section):
    column: ColumnName
    edges: tuple[float, ...] = Field(min_length=1, max_length=1000)


class Features(Section):
    """Features computed from the raw columns, by the code that travels with the model."""

    calendar: tuple[CalendarPart, ...] = ()
    cyclical: bool = Field(
        default=True, description="Linear models get sine and cosine of periodic parts."
    )
    holidays: tuple[dt.date, ...] = ()
    ratios: dict[Name, Ratio] = Field(default={})
    bins: dict[Name, Bins] = Field(default={})


class Budget(Section):
    trials: int = Field(default=20, ge=1, le=10_000)
    seconds: int = Field(default=60, ge=1, le=86_400)
    workers: int = Field(default=1, ge=1, le=64)


class Holdout(Section):
    """The newest rows, on which neither challenger nor champion was fitted."""

    days: float | None = Field(
        default=None, gt=0, le=3650, description="Length, where the model has a time column."
    )
    share: float = Field(
        default=0.2, gt=0, le=0.5, description="Share of the rows, where it has none (or no days)."
    )
    min_rows: int = Field(
        default=100, ge=10, le=10_000_000, description="Fewer than this is 'not yet'."
    )


class Training(Section):
    estimators: tuple[str, ...] = Field(
        default=("hist_gradient_boosting",), min_length=1, max_length=10
    )
    metric: str = Field(
        description="What a trial and a challenger are judged by: rmse, mae, mape, r2; accuracy, "
        "balanced_accuracy, log_loss, roc_auc, brier, f1, average_precision, macro_f1; or a scorer "
        "of scikit-learn by name. It has to fit the task."
    )
    budget: Budget = Budget()
    holdout: Holdout = Holdout()
    folds: int = Field(default=3, ge=2, le=20)
    min_rows: int = Field(default=200, ge=20)
    refit: bool = True
    seed: int = 7


class DriftWindows(Section):
    """Drift counts when `n` of the last `of` windows drifted."""

    n: int = Field(default=1, ge=1, le=50)
    of: int = Field(default=1, ge=1, le=50)


class Retrain(Section):
    """What may start a training, how often, and at what cost."""

    on_new_data: bool = True
    min_new_rows: int = Field(
        default=1, ge=1, description="New rows since the last training, for new_data to count."
    )
    on_drift: bool = True
    drift_windows: DriftWindows = Field(
        default=DriftWindows(),
        description="Drift counts when `n` of the champion's last `of` windows drifted.",
    )
    schedule: str | None = None
    cooldown_s: float = Field(
        default=0.0,
        ge=0,
        le=30 * 86_400,
        description="Pause after a training that was judged. A request by hand does not wait.",
    )
    daily_trainings: int = Field(
        default=24, ge=1, le=1000, description="Trainings begun within any 24 hours."
    )
    daily_compute_seconds: float = Field(
        default=86_400.0,
        gt=0,
        le=64 * 86_400,
        description="Seconds that trials, fit and refit may take within any 24 hours, over all "
        "workers. What was begun within it is finished.",
    )
    max_rejections: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="After this many lost challengers in a row only a request by hand, a new "
        "drift or a changed spec starts one, or time (rejection_pause_s).",
    )
    rejection_pause_s: float = Field(
        default=86_400.0,
        ge=0,
        le=365 * 86_400,
        description="One more try this long after the last of too many rejections.",
    )


class ServiceLevels(Section):
    p99_ms: float = Field(default=250.0, gt=0, le=60_000)
    min_requests_per_s: float = Field(default=20.0, gt=0, le=1_000_000)
    load_seconds: float = Field(default=2.0, gt=0, le=120)
    connections: int = Field(default=4, ge=1, le=256)


class PredictionLog(Section):
    """What is kept of the requests that a service answers."""

    share: Share = Field(default=1.0, description="Share of the requests that are kept, at random.")
    private: dict[ColumnName, Literal["hash", "leave_out"]] = Field(
        default={},
        description="Columns that are not kept as they came. A text may be kept as a keyed hash: "
        "equal values stay equal, and a guess can be checked by who knows the installation.",
    )


class Deployment(Section):
    runtime: Literal["auto", "docker", "process"] = "auto"
    memory_mib: int = Field(default=1024, ge=128, le=1_048_576)
    cpus: float = Field(default=1.0, gt=0, le=256)
    pids: int = Field(default=128, ge=16, le=32_768)
    start_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    tolerance: float = Field(
        default=1e-5, ge=0, le=1, description="Largest relative difference on golden rows."
    )
    max_rows: int = Field(
        default=10_000, ge=1, le=10_000_000, description="Rows one request may carry."
    )
    max_body_mib: int = Field(default=16, ge=1, le=1024)
    service_levels: ServiceLevels = ServiceLevels()
    prediction_log: PredictionLog = PredictionLog()
    acceptance: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="A file of examples beside the spec, <name>.acceptance.yaml: rows with the "
        "outcomes that the domain's people expect of every version before it serves.",
    )
    acceptance_mode: Literal["block", "warn"] = Field(
        default="block",
        description="warn: an example that is answered otherwise is shown, and stops nothing.",
    )
    strategy: Strategy = "blue_green"
    approval: Approval = Field(
        default="automatic",
        description="required: somebody says yes in Airflow before a version reaches production.",
    )
    approval_rules: ApprovalRules = ApprovalRules()
    canary: Canary = Canary()
    shadow: Shadow = Shadow()
    ab: AbTest = AbTest()
    watch: Watch = Watch()
    door: Door = Door()

    @property
    def seconds_to_release(self) -> float:
        """The most that a release may wait: for somebody's word, its strategy and its watch."""
        asked = self.approval_rules.timeout_s if self.approval == "required" else 0.0
        strategies = {
            "canary": self.canary.deadline_s,
            "shadow": self.shadow.deadline_s,
            "ab": self.ab.deadline_s,
        }
        return asked + strategies.get(self.strategy, 0.0) + self.watch.seconds


class Monitoring(Section):
    """How served requests and new rows are compared with the champion's training data."""

    schedule: str | None = "*/15 * * * *"
    min_rows: int = Field(
        default=200, ge=30, description="Fewer rows than this since the champion's is 'not yet'."
    )
    window_days: float | None = Field(
        default=None,
        gt=0,
        le=3650,
        description="Compare only the newest days of what came in; left out: everything since "
        "the champion's training.",
    )
    numeric_method: Literal["psi", "jensen_shannon", "wasserstein", "ks"] = Field(
        default="psi",
        description="A distance: PSI, Jensen-Shannon, Wasserstein in standard deviations, or "
        "the Kolmogorov-Smirnov statistic.",
    )
    numeric_threshold: float = Field(
        default=0.25, gt=0, description="Drift from this distance on, and never by chance alone."
    )
    categorical_method: Literal["psi", "jensen_shannon", "chi2"] = Field(
        default="psi", description="A distance: PSI, Jensen-Shannon, or Cramer's V for chi2."
    )
    categorical_threshold: float = Field(
        default=0.25, gt=0, description="Drift from this distance on, and never by chance alone."
    )
    null_share_threshold: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Largest rise of a column's share of missing values, and largest share of "
        "categories unseen in training.",
    )
    min_drifted_columns: int = Field(
        default=1, ge=1, description="This many drifted columns are an alarm."
    )
    ignore: tuple[ColumnName, ...] = Field(
        default=(), description="Columns that drift by nature, a counter say."
    )
