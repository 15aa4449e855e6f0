"""The keys of clients are divided for good, until the labels of their rows say who was right.

An answer is in production's prediction log, by version and key; its label comes late, by the same
key. A label that was there before the answer is of something else: where the key is a customer, of
what they did last month, and both versions may have been trained on it. Of a key that was asked
more than once the last answer of each version before its label counts. A loss is told for each row:
of the spec's metric where it is a mean over rows, else the squared error, or 0 and 1.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
from dataclasses import replace
from typing import Any

import polars as pl

from include.evergreen.contracts import Deployment, Proposal, Verification
from include.evergreen.errors import EvergreenError, NotInLake
from include.evergreen.policy.rollout.ab import AbRules, AbVerdict, Losses, decide_ab
from include.evergreen.policy.rollout.evidence import surely_fails_more
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.deploy.build import recorded_candidate
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.services import PRODUCTION
from include.evergreen.stages.monitoring.collect import collect_requests
from include.evergreen.stages.monitoring.request_log import served_in
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.beside import Look, observed, seconds_since
from include.evergreen.stages.release.counters import Counters
from include.evergreen.stages.release.stand import Stand
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: The report of an a/b test, among the artifacts of the version's run.
REPORT = "release/ab.md"
_ABSOLUTE = frozenset({"mae", "neg_mean_absolute_error", "neg_median_absolute_error"})
_RELATIVE = frozenset({"mape", "neg_mean_absolute_percentage_error"})
_LOG_LOSS = frozenset({"log_loss", "neg_log_loss"})
_BRIER = frozenset({"brier", "neg_brier_score"})
_LEAST = 1e-15


@under_deployment_lease(PRODUCTION)
def split_keys(
    resources: Resources, proposal: Proposal, proven: Verification, *, clock: Clock = utc_now
) -> Deployment | None:
    """One look at the test that is under way; None: not yet, look again.

    Raises:
        ReleaseAborted: the new version is not surely better, or fails.
        Unavailable: see `send_everything` and `abort`; or MLflow is away when it has won.
    """
    share = resources.spec.deployment.ab.share
    first = Stand("ab", proven, clock().isoformat(), (share,))
    why = f"a/b test: {share:.3g} of the keys"
    stand = rollout.begun(resources, proposal, first, why, now=clock())
    return _AbTest(resources, proposal, stand, clock, sticky=True).take()


class _AbTest(Look):
    def decide(self, old: Counters, new: Counters, now: dt.datetime) -> Deployment | None:
        deployment = self.resources.spec.deployment
        if self.resources.spec.data.key is None:
            self.abort("data.key is in the spec no longer: without it no answer finds its label")
        increase = deployment.canary.max_error_increase
        champion, challenger = observed(old), observed(new)
        if surely_fails_more(champion, challenger, increase):
            self.abort(f"{challenger.failed}, of the old version {champion.failed}")
        collect_requests(self.resources, now=now)
        elapsed_s = seconds_since(self.stand.began, now)
        read = _versions(self.resources)
        if read == self.stand.read and elapsed_s < deployment.ab.deadline_s:
            rollout.renew(self.resources, self.proposal, self.stand, now=now)
            return None
        losses = self._losses()
        rules = AbRules(
            deployment.ab.min_labels, deployment.ab.confidence, deployment.ab.deadline_s
        )
        verdict = decide_ab(*losses, rules, elapsed_s=elapsed_s)
        log.info("%s: %s: %s", self.resources.model, verdict.word, verdict.reason)
        if verdict.word == "not_yet":
            self.stand = replace(self.stand, read=read)
            rollout.renew(self.resources, self.proposal, self.stand, now=now)
            return None
        evidence = _finite(vars(verdict))
        if verdict.word == "champion":
            try:
                self.abort(f"a/b test: {verdict.reason}", evidence)
            finally:  # clients are safe first, whether MLflow answers or not
                self._report_if_possible(losses, verdict)
        self._report(losses, verdict)
        return self.next_step(f"a/b test: {verdict.reason}", now=now, evidence=evidence)

    def _losses(self) -> tuple[Losses, Losses]:
        """Of the old version and of the new one, since the test began."""
        versions = self.proposal.replaces or 0, self.proposal.version
        began = dt.datetime.fromisoformat(self.stand.began)
        frame = labelled_answers(self.resources, versions, began)
        found = [
            frame.filter(pl.col("version") == version)["loss"].to_list() for version in versions
        ]
        return Losses.of(found[0]), Losses.of(found[1])

    def _report_if_possible(self, losses: tuple[Losses, Losses], verdict: AbVerdict) -> None:
        """What decided is in the journal, too."""
        try:
            self._report(losses, verdict)
        except EvergreenError as error:
            log.warning("There is no %s of v%d: %s", REPORT, self.proposal.version, error)

    def _report(self, losses: tuple[Losses, Losses], verdict: AbVerdict) -> None:
        """The report is in the run of the version: the same again is harmless."""
        run = recorded_candidate(self.resources, self.proposal.version).run_id
        registry = self.resources.registry
        registry.log_text(run, report(self.proposal, losses, verdict), REPORT)
        numbers = {name: getattr(verdict, name) for name in ("difference", "low", "high")}
        registry.log_values(run, metrics={f"ab_{k}": v for k, v in _finite(numbers).items()})


def report(proposal: Proposal, losses: tuple[Losses, Losses], verdict: AbVerdict) -> str:
    """What an a/b test came to, in Markdown."""
    rows = [
        f"| v{version} | {side.n:,} | {side.mean:.6g} | {side.variance:.6g} |"
        for version, side in zip((proposal.replaces, proposal.version), losses, strict=True)
    ]
    return "\n".join(
        [
            f"# a/b test of {proposal.model} v{proposal.version} against v{proposal.replaces}",
            "",
            "| version | labels | mean loss | variance |",
            "|---|---|---|---|",
            *rows,
            "",
            f"Difference {verdict.difference:.6g} (positive: the new version loses less).",
            f"Interval {verdict.low:.6g} to {verdict.high:.6g}.",
            "",
            f"**Decision: {verdict.word}.** {verdict.reason}",
            "",
        ]
    )


def labelled_answers(
    resources: Resources, versions: tuple[int, int], began: dt.datetime
) -> pl.DataFrame:
    """One row for each version and key that production answered since then, and labelled later.

    Columns `version` and `loss`; none where nothing was logged or labelled yet.
    """
    spec, key = resources.spec, str(resources.spec.data.key)
    try:
        served = _having(served_in(resources, PRODUCTION), key)
        labels = _labels(resources, key, began)
    except NotInLake as nothing:
        log.info("No answer has a label: %s", nothing)
        return pl.DataFrame(schema={"version": pl.Int64, "loss": pl.Float64})
    served = served.filter(pl.col("version").is_in(list(versions)), pl.col("time") >= began)
    answers = (
        served.with_columns(pl.col(key).cast(pl.String).alias("_key"))
        .filter(pl.col("_key").is_not_null())
        .join(labels, on="_key", how="inner")
        .filter(pl.col("_labelled_at") >= pl.col("time"))
        .sort("time", "request_id")
        .unique(subset=["version", "_key"], keep="last", maintain_order=True)
        .collect()
    )
    return answers.select("version", loss_of(spec, answers.columns).alias("loss"))


def _labels(resources: Resources, key: str, began: dt.datetime) -> pl.LazyFrame:
    """Keys and labels that came since then, late or with their rows: the last of each key."""
    data, lake, model = resources.spec.data, resources.lake, resources.model
    if data.labels is not None:
        key, rows = data.labels.key, lake.scan(model, "labels")
    else:
        rows = lake.scan(model, "rows")
    rows = _having(rows, key, data.target).sort("_batch", "_row_number")
    return (
        rows.unique(subset=[key], keep="last", maintain_order=True)
        .select(
            pl.col(key).cast(pl.String).alias("_key"),
            pl.col(data.target).alias("_label"),
            pl.col("_ingested_at").alias("_labelled_at"),
        )
        .filter(pl.col("_label").is_not_null(), pl.col("_labelled_at") >= began)
    )


def _having(rows: pl.LazyFrame, *columns: str) -> pl.LazyFrame:
    """The rows, if they have these columns.

    Raises:
        NotInLake: they have not: the spec names a column since now, and nothing came with it yet.
    """
    absent = sorted(set(columns) - set(rows.collect_schema().names()))
    if absent:
        raise NotInLake(f"Nothing came with {', '.join(absent)} yet.")
    return rows


def loss_of(spec: ModelSpec, columns: list[str]) -> pl.Expr:
    """The loss of a row: `prediction` (and `probability_...`) against `_label`; less is better."""
    metric = spec.training.metric
    if spec.task == "regression":
        error = (pl.col("prediction") - pl.col("_label").cast(pl.Float64)).abs()
        if metric in _ABSOLUTE:
            return error
        if metric in _RELATIVE:
            return error / pl.col("_label").cast(pl.Float64).abs().clip(lower_bound=_LEAST)
        return error * error
    label = pl.col("_label").cast(pl.String)
    classes = [name.removeprefix("probability_") for name in columns if "probability_" in name]
    hits = [(pl.col(f"probability_{name}"), label.str.to_lowercase() == name.lower())
            for name in classes]  # fmt: skip
    if classes and metric in _LOG_LOSS:
        right = pl.sum_horizontal(pl.when(hit).then(p).otherwise(0.0) for p, hit in hits)
        return -right.clip(lower_bound=_LEAST).log()
    if classes and metric in _BRIER:
        return pl.sum_horizontal((p - hit.cast(pl.Float64)) ** 2 for p, hit in hits) / 2
    return (pl.col("prediction").cast(pl.String) != label).cast(pl.Float64)


def _versions(resources: Resources) -> str:
    """Up to where the lake can be read now."""
    lake, model = resources.lake, resources.model
    late = resources.spec.data.labels is not None
    labelled = lake.version(model, "labels" if late else "rows")
    return f"{lake.version(model, 'requests')}, {labelled}"


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if not isinstance(v, float) or math.isfinite(v)}
