"""How a version gets into production: the parts of a spec's `deployment` that say so."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from include.evergreen.spec.base import Section, Share

Strategy = Literal["blue_green", "canary", "shadow", "ab"]
Approval = Literal["automatic", "required"]


class ApprovalRules(Section):
    """Who may let a version into production, and for how long they are asked."""

    users: tuple[str, ...] = Field(
        default=(), max_length=100, description="Airflow users who may answer. Empty: everyone."
    )
    timeout_s: float = Field(
        default=7 * 86_400.0, gt=0, le=90 * 86_400, description="Then the answer is no."
    )


class Canary(Section):
    """A growing share of the requests; it goes on or back by itself."""

    steps: tuple[Share, ...] = Field(
        default=(0.1, 0.5),
        min_length=1,
        max_length=20,
        description="Shares of the requests, ascending, below 1; after the last comes all.",
    )
    window_s: float = Field(default=60.0, gt=0, le=7 * 86_400, description="Of each step.")
    min_requests: int = Field(
        default=50, ge=1, description="Answers of the new version in a window; fewer: not yet."
    )
    deadline_s: float = Field(
        default=86_400.0, gt=0, le=30 * 86_400, description="For all steps; then the answer is no."
    )
    max_error_increase: Share = Field(
        default=0.01, description="By how much its share of failed requests may be higher."
    )
    max_p99_ratio: float = Field(
        default=2.0, ge=1, le=100, description="Its p99 latency as a multiple of the champion's."
    )
    max_prediction_shift: float = Field(
        default=0.5,
        gt=0,
        description="Largest distance between the predictions of both: Wasserstein in standard "
        "deviations of the champion's (regression), or Jensen-Shannon (classes).",
    )


class Shadow(Section):
    """Logged requests are asked of the new version, which answers nobody."""

    min_requests: int = Field(
        default=200, ge=1, description="That the champion was asked since it began; fewer: not yet."
    )
    deadline_s: float = Field(default=86_400.0, gt=0, le=30 * 86_400)
    max_difference: float = Field(
        default=0.5,
        gt=0,
        description="Mean difference between both answers to one request: in standard deviations "
        "of the champion's (regression), or the share of other labels (classes).",
    )
    max_error_share: Share = Field(
        default=0.01,
        description="Share of the replayed requests that may fail. With 0 a single one ends it.",
    )


class AbTest(Section):
    """A sticky split by the header X-Request-Key, decided by labels that arrive later."""

    share: Share = Field(default=0.5, gt=0, lt=1, description="Of the keys, to the new version.")
    min_labels: int = Field(
        default=200, ge=10, description="Answers of each version whose label is known."
    )
    deadline_s: float = Field(default=7 * 86_400.0, gt=0, le=90 * 86_400)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)


class Watch(Section):
    """The time after a release in which the version before it stays warm, to take over again."""

    seconds: float = Field(default=60.0, ge=0, le=7 * 86_400)
    max_error_share: Share = Field(
        default=0.01, description="Share of failed requests; above it the release is rolled back."
    )
    max_p99_ms: float | None = Field(
        default=None, gt=0, description="Left out: service_levels.p99_ms."
    )


class Door(Section):
    """What a client needs to be let in at the model's production address."""

    tls: bool = Field(
        default=False,
        description="https with the certificate (PEM, with its key) that EVERGREEN_TLS_CERTIFICATE "
        "names on the machine of the gateway.",
    )
    token: bool = Field(
        default=False,
        description="Requests must carry 'Authorization: Bearer ...' with the token that the "
        "Airflow connection evergreen_serving holds as its password.",
    )
