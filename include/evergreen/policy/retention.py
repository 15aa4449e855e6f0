"""Decides what is removed, what is finished, and what is kept and why. Pure: facts in, plan out.

Guards come first, and they are data: what an alias, a service, a rollback or an open training
needs is kept whatever else is true of it, and so is everything younger than the grace time, for
an interrupted run may still be resumed. Only then is a thing judged by its kind.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence

from include.evergreen.policy.retention_facts import (
    OVER,
    UNDER_WAY,
    Action,
    Decided,
    ModelFacts,
    RetentionRules,
    Thing,
)

#: Kinds for which nothing but the guards speaks against it.
_ALWAYS: dict[str, tuple[Action, str]] = {
    "deployment": ("finish", "it is '{thing.state}' in the ledger, and the rest lags behind"),
    "training": (
        "finish",
        "it was left '{thing.state}' beyond the retention: nobody goes on with it",
    ),
    "journal_entry": ("finish", "nothing outside of the ledger holds its digest yet"),
    "service": ("remove", "its deployment in the ledger is over"),
    "network": ("remove", "no container is on it"),
    "table_files": ("remove", "no version of the table that a snapshot needs names them"),
    "spool": ("remove", "v{thing.version} is not served any more"),
}


def decide_retention(
    things: Sequence[Thing],
    facts: Mapping[str, ModelFacts],
    rules: RetentionRules,
    now: dt.datetime,
) -> list[Decided]:
    """One decision a thing, in their order. A model without facts needs all it has: kept."""
    judges = {model: _Judge(known, things, model, rules, now) for model, known in facts.items()}
    decided = []
    for thing in things:
        judge = judges.get(thing.model)
        if judge is None:
            decided.append(Decided(thing, "keep", f"nothing is known of the model {thing.model!r}"))
        else:
            decided.append(judge.decide(thing))
    return decided


def needed_versions(facts: ModelFacts, rules: RetentionRules) -> dict[int, str]:
    """The versions that must stay whole, each with the first reason that holds."""
    needed: dict[int, str] = {}
    for alias, version in sorted(facts.aliases.items()):
        needed.setdefault(version, f"the alias {alias} points at v{version}")
    for deployment in facts.deployments:
        if deployment.state in UNDER_WAY:
            why = f"v{deployment.version} is {deployment.state} in {deployment.environment}"
            needed.setdefault(deployment.version, why)
    for version in sorted(facts.waiting):
        needed.setdefault(version, f"v{version} waits to be deployed")
    for environment in sorted({deployment.environment for deployment in facts.deployments}):
        for version in _live_before(facts, environment)[: rules.rollback_versions]:
            needed.setdefault(version, f"v{version} was live before: a rollback goes there")
    return needed


def _live_before(facts: ModelFacts, environment: str) -> list[int]:
    """Versions that were live in an environment and are not now, newest first."""
    there = [d for d in facts.deployments if d.environment == environment]
    live = {d.version for d in there if d.state == "live"}
    been = sorted(
        ((d.live_at, d.version) for d in there if d.live_at is not None and d.state != "live"),
        reverse=True,
    )
    return [version for version in dict.fromkeys(v for _, v in been) if version not in live]


class _Judge:
    """One model's guards and rules."""

    def __init__(
        self,
        facts: ModelFacts,
        things: Iterable[Thing],
        model: str,
        rules: RetentionRules,
        now: dt.datetime,
    ) -> None:
        self._facts, self._rules, self._now = facts, rules, now
        self._versions = needed_versions(facts, rules)
        self._services = {d.service: d.state for d in facts.deployments if d.state in UNDER_WAY}
        self._recorded = {d.service for d in facts.deployments}
        mine = [thing for thing in things if thing.model == model]
        self._signs = _signs_of_life(facts, mine)
        self._store_is_there = self._bundles_can_be_seen(mine)

    def decide(self, thing: Thing) -> Decided:
        why = self._guard(thing)
        if why:
            return Decided(thing, "keep", why)
        action, reason = self._by_kind(thing)
        return Decided(thing, action, reason)

    # --- guards ---------------------------------------------------------------------------------

    def _guard(self, thing: Thing) -> str:
        """Why a thing must stay as it is, whatever its kind's rule says; '' if nothing needs it."""
        if thing.kind == "deployment":
            return "" if self._facts.has_spec else "its model has no spec to start it by"
        guards = (self._served, self._of_needed_version, self._referred_to, self._too_young)
        return next(filter(None, (guard(thing) for guard in guards)), "") or self._open_training(
            thing
        )

    def _served(self, thing: Thing) -> str:
        if thing.kind == "spool" and self._is_under_way(thing.version):
            return f"v{thing.version} is being served"
        if thing.kind != "service":
            return ""
        if thing.name in self._services:
            return f"its deployment is {self._services[thing.name]}"
        if thing.name not in self._recorded:
            # Each of ours is recorded before it starts: another made it, or records were lost.
            return "the ledger has no record of it, so nobody can say that it is over"
        return ""

    def _of_needed_version(self, thing: Thing) -> str:
        if thing.kind in {"image", "version", "snapshot"} and not _is_to_be_recorded(thing):
            return self._versions.get(self._version_of(thing) or 0, "")
        return ""

    def _referred_to(self, thing: Thing) -> str:
        if thing.kind == "logged_model" and thing.version is not None:
            return f"v{thing.version} consists of it"
        if thing.kind == "run" and thing.name in self._facts.versions_of_runs and not _runs(thing):
            return f"v{self._facts.versions_of_runs[thing.name]} was made by it"
        if thing.kind == "report" and thing.name in self._facts.reports:
            return "the last look of monitoring refers to it"
        return f"what it holds ({thing.holds}) is nowhere else" if thing.holds else ""

    def _too_young(self, thing: Thing) -> str:
        if thing.since is None:
            return "nobody can say how old it is"
        if self._now - thing.since < self._rules.grace:
            return f"younger than {_words(self._rules.grace)}: a run may still need it"
        return ""

    def _version_of(self, thing: Thing) -> int | None:
        training = self._facts.trainings.get(thing.training)
        return thing.version or (training.version if training else None)

    def _is_under_way(self, version: int | None) -> bool:
        return any(d.version == version and d.state in UNDER_WAY for d in self._facts.deployments)

    def _open_training(self, thing: Thing) -> str:
        """A training that is not over may be resumed, until it was left alone for long."""
        training = self._facts.trainings.get(thing.training)
        if thing.kind in {"trial", "version"} or training is None or training.state in OVER:
            return ""
        if training.version is not None:
            return f"v{training.version} was made of it, which the ledger has yet to record"
        if not self._is_left(thing.training):
            return f"its training {thing.training[:12]} is '{training.state}' and may be resumed"
        return ""

    def _is_left(self, key: str) -> bool:
        """Whether nothing of a training gave a sign of life within the retention."""
        sign = self._signs.get(key)
        return sign is None or self._now - sign >= self._rules.retention

    def _bundles_can_be_seen(self, things: Iterable[Thing]) -> bool:
        """Whether a bundle that is not seen is truly absent: a store may be away as a whole."""
        versions = [thing for thing in things if thing.kind == "version"]
        absent = {thing.version for thing in versions if thing.state == "no_bundle"}
        seen = any(thing.state == "ready" for thing in versions)
        return seen and absent.isdisjoint(self._versions)

    # --- what is left is judged by its kind -------------------------------------------------------

    def _by_kind(self, thing: Thing) -> tuple[Action, str]:
        if thing.kind in _ALWAYS:
            action, reason = _ALWAYS[thing.kind]
            return action, reason.format(thing=thing)
        rules: dict[str, Callable[[Thing], tuple[Action, str]]] = {
            "version": self._version,
            "run": self._run,
            "trial": self._trial,
            "image": self._image,
            "report": self._image,
        }
        return rules.get(thing.kind, self._of_training)(thing)

    def _trial(self, thing: Thing) -> tuple[Action, str]:
        if self._is_left(thing.training):
            return "keep", "its study goes as a whole"
        return "finish", "it runs on no ticket: its worker died"

    def _image(self, thing: Thing) -> tuple[Action, str]:
        if thing.state == "unrecorded":
            return "remove", "the ledger has no record of it: its build was interrupted"
        return self._beyond_retention(thing, "nothing needs it")

    def _version(self, thing: Thing) -> tuple[Action, str]:
        if thing.state == "unrecorded":
            return "finish", "it is registered and its training won: the ledger lacks the record"
        if thing.state == "pending":
            return "remove", "it never became ready: its registration was interrupted"
        if thing.state == "second":
            return "remove", "its training is registered as another version"
        if thing.state == "no_bundle":
            if self._store_is_there:
                return "remove", "its bundle is gone, and nothing points at it"
            return "keep", "its bundle is not seen, but the artifact store may be away"
        return "keep", "registered versions are the history of a model"

    def _run(self, thing: Thing) -> tuple[Action, str]:
        if _runs(thing):
            training = self._facts.trainings.get(thing.training)
            seen = f"'{training.state}'" if training else "not in the ledger"
            return "finish", f"it says RUNNING, and its training is {seen}"
        return self._beyond_retention(thing, "no version was made of it")

    def _of_training(self, thing: Thing) -> tuple[Action, str]:
        """A study, a snapshot, a logged model or a work folder, by what became of its training."""
        training = self._facts.trainings.get(thing.training)
        if training is None:
            return "remove", "no training in the ledger needs it"
        if training.state not in OVER:
            return "remove", f"its training was left '{training.state}' beyond the retention"
        if thing.kind in {"snapshot", "logged_model"}:
            return self._beyond_retention(thing, f"its training is over ('{training.state}')")
        return "remove", f"its training is over ('{training.state}')"

    def _beyond_retention(self, thing: Thing, why: str) -> tuple[Action, str]:
        if thing.since is not None and self._now - thing.since >= self._rules.retention:
            return "remove", f"{why}, and it is older than {_words(self._rules.retention)}"
        return "keep", f"younger than {_words(self._rules.retention)}"


def _signs_of_life(facts: ModelFacts, things: Iterable[Thing]) -> dict[str, dt.datetime]:
    """When anything that belongs to a training last changed, its opening included."""
    signs = {key: training.opened_at for key, training in facts.trainings.items()}
    for thing in things:
        if thing.training in signs and thing.since is not None:
            signs[thing.training] = max(signs[thing.training], thing.since)
    return signs


def _runs(thing: Thing) -> bool:
    return thing.state == "RUNNING"


def _is_to_be_recorded(thing: Thing) -> bool:
    """Finishing what a guard needs does it no harm."""
    return thing.kind == "version" and thing.state == "unrecorded"


def _words(span: dt.timedelta) -> str:
    days = span / dt.timedelta(days=1)
    return f"{days:g} day{'' if days == 1 else 's'}"
