"""What crosses the boundary between two tasks: frozen facts, small enough for XCom.

Each class turns into plain JSON with `as_json` and back with `from_json`. Frames, models and
pickles never cross; their addresses do. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, Self

Task = Literal["regression", "binary", "multiclass"]
RequestReason = Literal["new_data", "drift", "schedule", "manual"]
Part = Literal["train", "validation", "holdout", "fitting"]
#: Every gate of the judge, in the order in which they are told.
GateName = Literal[
    "champion",
    "baseline",
    "floors",
    "slices",
    "fairness",
    "calibration",
    "stability",
    "behaviour",
    "leakage",
    "overfitting",
    "size",
    "latency",
]
GateMode = Literal["block", "warn", "off"]


class Fact:
    """Base of everything that crosses: `as_json` and `from_json` are exact inverses."""

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Rebuild from `as_json`'s output; an unknown key raises TypeError."""
        hints = typing.get_type_hints(cls)
        return cls(**{key: _revive(hints.get(key), value) for key, value in document.items()})


def _revive(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _revive(next(a for a in arguments if a is not type(None)), value)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_revive(arguments[0], item) for item in value)
    if isinstance(hint, type) and issubclass(hint, Fact) and isinstance(value, dict):
        return hint.from_json(value)
    return value


# --- ingest -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LandedFile(Fact):
    """A file seen in a landing zone: `uri` is its address, `fingerprint` changes when it does.

    `changed_at` is when anything about it last changed (a copy may keep an old `modified_at`).
    `refused` says why it must not be opened (a symlink, a FIFO, a device); empty: it may be.
    """

    uri: str
    size_bytes: int
    modified_at: str
    fingerprint: str
    kind: Literal["rows", "labels"] = "rows"
    changed_at: str = ""
    refused: str = ""


@dataclass(frozen=True)
class FileOutcome(Fact):
    """What became of one file: appended, quarantined whole (with the rule), or already known."""

    uri: str
    digest: str
    state: Literal["appended", "quarantined", "known", "stopped"]
    rows_appended: int = 0
    rows_quarantined: int = 0
    rule: str = ""
    reason: str = ""
    kind: Literal["rows", "labels"] = "rows"


@dataclass(frozen=True)
class IngestReport(Fact):
    """One run of ingest: every file's outcome and the Delta version after it.

    `problems` are what a person must hear of, in words: files that could not be read, and files
    of which too much broke the contract. The other files were taken all the same.
    """

    model: str
    files: tuple[FileOutcome, ...]
    rows_appended: int
    rows_quarantined: int
    data_version: int
    problems: tuple[str, ...] = ()


# --- train --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RetrainRequest(Fact):
    """Somebody or something asks for a training. `cause` makes it unique: one request a cause."""

    id: int
    model: str
    reason: RequestReason
    cause: str
    created_at: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialBudget(Fact):
    """What a search may spend: `trials` trials and `seconds` of wall time, over `workers`."""

    trials: int
    seconds: int
    workers: int


@dataclass(frozen=True)
class Claim(Fact):
    """What one run of train answers: every pending request, with the budget it may spend.

    `forced_by` is the run that trains even what was trained before; empty where none forces.
    """

    model: str
    run_id: str
    reason: str
    request_ids: tuple[int, ...]
    budget: TrialBudget
    forced_by: str = ""


@dataclass(frozen=True)
class Snapshot(Fact):
    """The rows one training may use, frozen: Delta versions, a digest of the rows, and the split.

    `key` is the training key: sha256 over model, rows digest, spec digest, code digest (and the
    run that forced it, when forced). `seen_until` is the newest time (or the Delta version, where
    the model has no time column) that the refitted artifact will have seen. `champion_version` is
    the champion at the time; None for a first model.
    """

    model: str
    key: str
    data_version: int
    labels_version: int | None
    rows_digest: str
    spec_digest: str
    code_digest: str
    rows: dict[str, int]
    seen_from: str
    seen_until: str
    holdout_from: str
    budget: TrialBudget
    request_ids: tuple[int, ...]
    reason: str
    champion_version: int | None = None


@dataclass(frozen=True)
class TuningResult(Fact):
    """The best recipe of the study: estimator, parameters, and its validation score."""

    study: str
    estimator: str
    params: dict[str, Any]
    validation_score: float
    trials_complete: int
    trials_pruned: int
    trials_failed: int
    seconds: float


@dataclass(frozen=True)
class Fitted(Fact):
    """A fitted challenger, logged to its MLflow run under `bundle_path`."""

    run_id: str
    bundle_path: str
    manifest_digest: str
    tuning: TuningResult


@dataclass(frozen=True)
class Score(Fact):
    """One model's metric on one set of rows. For `greater_is_better` see the metric's own entry."""

    metric: str
    value: float
    n_rows: int


@dataclass(frozen=True)
class GateResult(Fact):
    """What one gate of the judge saw of a challenger, against what the spec requires.

    `verdict`: `off` was not computed; `not_applicable` had nothing to look at (a first model has
    no champion, a spec without slices no slices), and `seen` says what was missing. `evidence` is
    small JSON, a few kB at most: the rows of a table, the points of a curve, for the model card.
    """

    name: GateName
    mode: GateMode
    verdict: Literal["passed", "failed", "off", "not_applicable"]
    seen: str
    required: str
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def blocks(self) -> bool:
        """Whether the challenger loses by this gate."""
        return self.mode == "block" and self.verdict == "failed"


@dataclass(frozen=True)
class Judgement(Fact):
    """The judge's word. Only `won` registers; `lost` and `not_yet` are results, not failures."""

    verdict: Literal["won", "lost", "not_yet"]
    reason: str
    challenger: Score | None = None
    champion: Score | None = None
    champion_version: int | None = None
    baseline: Score | None = None
    required_improvement: float = 0.0
    improvement: float | None = None
    gates: tuple[GateResult, ...] = ()


@dataclass(frozen=True)
class Candidate(Fact):
    """A registered version: the recipe that won, refitted, with the digest of its manifest."""

    model: str
    version: int
    run_id: str
    training_key: str
    manifest_digest: str
    refitted: bool


# --- deploy -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BuiltImage(Fact):
    """What a service runs: an image by digest, or a directory with its digest (process)."""

    model: str
    version: int
    runtime: Literal["docker", "process"]
    reference: str
    digest: str
    manifest_digest: str


@dataclass(frozen=True)
class RunningService(Fact):
    """A started service: `service_id` is the container's id, or the pid with its start time."""

    service_id: str
    name: str
    runtime: Literal["docker", "process"]
    endpoint: str
    image_digest: str
    spool: str


@dataclass(frozen=True)
class AcceptanceResult(Fact):
    """One acceptance example: what its people expect, and what the candidate answered.

    `value` is the number that was compared and `low` and `high` its bounds; None where there is no
    number, or no bound. `given` is left out where only a few kB have room.
    """

    case: str
    expected: str
    got: str
    held: bool
    value: float | None = None
    low: float | None = None
    high: float | None = None
    given: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check(Fact):
    """One thing that was verified, with what was seen against what was required.

    `evidence` is small JSON, at most some ten kB: what a person looks at who decides by it.
    """

    name: str
    passed: bool
    seen: str
    required: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification(Fact):
    """All checks of one candidate service; it passed if every check did."""

    model: str
    version: int
    service: RunningService
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)


@dataclass(frozen=True)
class Deployment(Fact):
    """A version that answers in an environment, proven there."""

    model: str
    version: int
    environment: Literal["staging", "production"]
    service: RunningService
    deployed_at: str


# --- release ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proposal(Fact):
    """A version that is to be released, as the very image that staging verified.

    `staged` is the deployment that was live in staging when release looked (None: none was), by
    which its watcher knows what was looked at. `replaces` is what answers in production now; None
    before the first release. `by_hand`: a person named the version; `reason` is theirs then, and
    `asked_by` who that is. `owner` is the run that proposed it, `at` when it did: the time to
    answer counts from there. `after` is the deployment that went live in production last until
    then (None: none ever did): once its own did, the proposal is spent.
    """

    model: str
    version: int
    image: BuiltImage
    staged: int | None
    replaces: int | None
    reason: str
    by_hand: bool = False
    asked_by: str = ""
    owner: str = ""
    at: str = ""
    after: int | None = None


@dataclass(frozen=True)
class Question(Fact):
    """What a person is asked before a version is released: plain text above, Markdown below."""

    subject: str
    body: str


@dataclass(frozen=True)
class Answer(Fact):
    """What came back. `person` is empty where the clock answered: by default, not by anybody."""

    approves: bool
    person: str = ""
    person_id: str = ""
    comment: str = ""
    at: str = ""


@dataclass(frozen=True)
class Return(Fact):
    """Production goes back: from `leaves` (None: nothing answers) to `version`, and why.

    `asked_by` is the person who wants it, empty where the watch does; `owner` is the run.
    """

    model: str
    version: int
    leaves: int | None
    reason: str
    asked_by: str = ""
    owner: str = ""


# --- monitor ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ColumnDrift(Fact):
    """One column compared: the named method's value against its threshold."""

    column: str
    method: str
    value: float
    threshold: float
    drifted: bool
    note: str = ""


@dataclass(frozen=True)
class DriftVerdict(Fact):
    """What the comparison says. `not_yet` means too few rows to say anything."""

    verdict: Literal["drift", "no_drift", "not_yet"]
    reason: str
    rows_reference: int
    rows_current: int
    columns: tuple[ColumnDrift, ...] = ()

    @property
    def drifted_columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(column.column for column in self.columns if column.drifted))


@dataclass(frozen=True)
class DriftReport(Fact):
    """A verdict with where its evidence lies, and the request it led to (None: none was needed).

    `champion_version` is None, `run_id` and `report_uri` empty where there is no champion yet.
    """

    model: str
    champion_version: int | None
    verdict: DriftVerdict
    run_id: str
    report_uri: str
    request_id: int | None


# --- journal ------------------------------------------------------------------------------------

JournalKind = Literal[
    "judged",
    "registered",
    "staged",
    "staging_failed",
    "proposed",
    "approved",
    "rejected",
    "expired",
    "superseded",
    "released",
    "advanced",
    "watched",
    "aborted",
    "rolled_back",
    "rollback_failed",
    "retired",
    "taken_back",
]


@dataclass(frozen=True)
class Actor(Fact):
    """Who or what decided. What the clock answered by default is never a person's."""

    kind: Literal["person", "policy", "clock"]
    name: str


@dataclass(frozen=True)
class JournalEntry(Fact):
    """Something that was decided about a model, as the journal keeps it for good.

    `event` makes it unique within its model (`judgement:<training key>`): told twice, it is one
    entry. `run` is the DAG and run that told it. `to_version` is the version it is about, or that
    answers from now on; `from_version` the one that was champion, or answered, before. `evidence`
    is small JSON: scores, gates, checks, a person's comment. `digests` name what was decided on,
    by `training_key`, `rows`, `spec`, `code`, `manifest`, `image`; `mlflow_run` is the training's.
    """

    event: str
    model: str
    kind: JournalKind
    actor: Actor
    why: str
    run: str = ""
    from_version: int | None = None
    to_version: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    mlflow_run: str = ""


@dataclass(frozen=True)
class JournalLink(Fact):
    """An entry in its place in the chain: `digest` is the SHA-256 of `previous` and `document`.

    `document` is the entry's canonical JSON, with its number and time. When its digest was anchored
    outside of the ledger is said by `anchored_at`, which is not part of what is hashed.
    """

    number: int
    event: str
    previous: str
    digest: str
    document: str
    anchored_at: str | None = None


@dataclass(frozen=True)
class JournalAnchor(Fact):
    """The digest that entry `number` had when it was noted at `where`, outside of the ledger."""

    number: int
    digest: str
    where: str
