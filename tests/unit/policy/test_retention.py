"""What is needed is kept, whatever the facts; what nothing needs goes, and says why."""

import datetime as dt
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.evergreen.policy.retention import decide_retention, needed_versions
from include.evergreen.policy.retention_facts import (
    OVER,
    UNDER_WAY,
    Decided,
    DeploymentFact,
    Kind,
    ModelFacts,
    RetentionRules,
    Thing,
    TrainingFact,
)

NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
RULES = RetentionRules(retention=30 * DAY)
OLD, RECENT, YOUNG = NOW - 60 * DAY, NOW - 5 * DAY, NOW - dt.timedelta(hours=2)


def decide(thing: Thing, facts: ModelFacts | None = None, *others: Thing) -> Decided:
    return decide_retention([thing, *others], {"m": facts or ModelFacts()}, RULES, NOW)[0]


def training(state: str, version: int | None = None, opened_at: dt.datetime = OLD) -> TrainingFact:
    return TrainingFact(state, opened_at, version)


def deployed(version: int, state: str, days_ago: int = 40, **more) -> DeploymentFact:
    service = more.get("service", f"service-{version}")
    live_at = NOW - days_ago * DAY if state != "failed" else None
    return DeploymentFact(version, "staging", state, service, live_at)


SERVED = ModelFacts(
    aliases={"champion": 9, "someones_own": 2},
    deployments=(
        deployed(9, "live", 1),
        deployed(8, "stopped", 2),
        deployed(7, "stopped", 3),
        deployed(6, "stopped", 4),
        deployed(5, "stopped", 5),
        deployed(4, "failed"),
        deployed(8, "stopped", 6),
    ),
    waiting=frozenset({10}),
)


def test_what_must_stay_whole_is_aliases_services_candidates_and_three_rollbacks() -> None:
    needed = needed_versions(SERVED, RULES)
    assert set(needed) == {2, 6, 7, 8, 9, 10}
    assert needed[2] == "the alias someones_own points at v2"
    assert needed[7] == "v7 was live before: a rollback goes there"
    assert needed[10] == "v10 waits to be deployed"


@pytest.mark.parametrize(
    ("thing", "facts", "action", "words"),
    [
        (Thing("image", "m", "i", OLD, 8), SERVED, "keep", "v8 was live before"),
        (Thing("image", "m", "i", OLD, 2), SERVED, "keep", "the alias someones_own"),
        (Thing("image", "m", "i", OLD, 5), SERVED, "remove", "older than 30 days"),
        (Thing("image", "m", "i", RECENT, 5), SERVED, "keep", "younger than 30 days"),
        (Thing("image", "m", "i", RECENT, 5, state="unrecorded"), SERVED, "remove", "interrupted"),
        (Thing("image", "m", "i", YOUNG, 5, state="unrecorded"), SERVED, "keep", "younger than 1"),
        (Thing("image", "m", "i", None, 5), SERVED, "keep", "nobody can say how old"),
        (Thing("service", "m", "service-9", OLD), SERVED, "keep", "its deployment is live"),
        (
            Thing("service", "m", "service-8", OLD),
            SERVED,
            "remove",
            "deployment in the ledger is over",
        ),
        (Thing("service", "m", "another", OLD, 9), SERVED, "keep", "no record of it"),
        (
            Thing("service", "m", "s", OLD, 9),
            ModelFacts({"champion": 9}),
            "keep",
            "no record of it",
        ),
        (
            Thing("service", "m", "warm", OLD, 3),
            ModelFacts(deployments=(DeploymentFact(3, "production", "spare", "warm", OLD),)),
            "keep",
            "its deployment is spare",
        ),
        (
            Thing("image", "m", "i", OLD, 3),
            ModelFacts(deployments=(DeploymentFact(3, "production", "spare", "warm", OLD),)),
            "keep",
            "v3 is spare in production",
        ),
        (Thing("network", "m", "n", OLD, holds=2), SERVED, "keep", "what it holds (2)"),
        (Thing("network", "m", "n", OLD), SERVED, "remove", "no container"),
        (Thing("spool", "m", "v9", OLD, 9), SERVED, "keep", "v9 is being served"),
        (Thing("spool", "m", "v8", OLD, 8), SERVED, "remove", "not served any more"),
        (Thing("spool", "m", "v8", OLD, 8, holds=1), SERVED, "keep", "what it holds (1)"),
        (Thing("deployment", "m", "d", YOUNG, 8, state="stopping"), SERVED, "finish", "stopping"),
        (
            Thing("deployment", "m", "d", OLD, 8, state="stopping"),
            replace(SERVED, has_spec=False),
            "keep",
            "no spec",
        ),
        (
            Thing("report", "m", "r1", OLD),
            ModelFacts(reports=frozenset({"r1"})),
            "keep",
            "the last look",
        ),
        (Thing("report", "m", "r2", OLD), ModelFacts(), "remove", "older than 30 days"),
        (Thing("version", "m", "v3", OLD, 3, state="pending"), SERVED, "remove", "interrupted"),
        (Thing("version", "m", "v2", OLD, 2, state="pending"), SERVED, "keep", "the alias"),
        (Thing("version", "m", "v3", OLD, 3, state="second"), SERVED, "remove", "another version"),
        (Thing("version", "m", "v3", OLD, 3, state="ready"), SERVED, "keep", "history"),
        (Thing("version", "m", "v3", OLD, 3, state="foreign"), SERVED, "keep", "history"),
        (Thing("version", "m", "v9", OLD, 9, state="unrecorded"), SERVED, "finish", "lacks"),
        (Thing("table_files", "m", "rows", OLD), SERVED, "remove", "no version of the table"),
    ],
)
def test_each_kind_has_its_rule(thing: Thing, facts: ModelFacts, action: str, words: str) -> None:
    decided = decide(thing, facts)
    assert decided.action == action, decided.reason
    assert words in decided.reason


@pytest.mark.parametrize("kind", ["study", "work", "snapshot", "logged_model"])
def test_what_a_training_left_goes_when_it_is_over_or_was_left_alone(kind: str) -> None:
    facts = ModelFacts(
        trainings={
            "open": training("open", opened_at=RECENT),
            "left": training("failed"),
            "lost": training("lost"),
        }
    )
    assert decide(Thing(kind, "m", "a", RECENT, training="open"), facts).action == "keep"
    left = decide(Thing(kind, "m", "a", OLD, training="left"), facts)
    assert left.action == "remove"
    assert "left 'failed' beyond the retention" in left.reason
    assert decide(Thing(kind, "m", "a", OLD, training="lost"), facts).action == "remove"
    assert decide(Thing(kind, "m", "a", RECENT, training="unknown"), facts).action == "remove"
    assert decide(Thing(kind, "m", "a", YOUNG, training="unknown"), facts).action == "keep"


@pytest.mark.parametrize("state", ["open", "won"])
def test_a_training_that_nobody_ends_is_ended_when_it_was_left_alone(state: str) -> None:
    facts = ModelFacts(trainings={"key": training(state)})
    thing = Thing("training", "m", "key", OLD, training="key", state=state)
    decided = decide(thing, facts)
    assert (decided.action, decided.reason) == (
        "finish",
        f"it was left '{state}' beyond the retention: nobody goes on with it",
    )
    alive = Thing("study", "m", "key", RECENT, training="key")
    assert decide(thing, facts, alive).action == "keep"
    registered = ModelFacts(trainings={"key": training("won", version=3)})
    assert "has yet to record" in decide(thing, registered).reason
    young = replace(thing, since=YOUNG)
    assert "a run may still need it" in decide(young, facts).reason


def test_one_sign_of_life_keeps_all_that_belongs_to_a_training() -> None:
    facts = ModelFacts(trainings={"k": training("open")})
    old = Thing("study", "m", "k", OLD, training="k")
    assert decide(old, facts).action == "remove"
    assert decide(old, facts, Thing("work", "m", "k", RECENT, training="k")).action == "keep"


def test_a_run_that_says_running_is_finished_when_its_training_is_over() -> None:
    facts = ModelFacts(
        trainings={"k": training("registered", 3), "open": training("open", opened_at=RECENT)},
        versions_of_runs={"r": 3},
    )
    running = Thing("run", "m", "r", RECENT, training="k", state="RUNNING")
    assert decide(running, facts).action == "finish"
    assert decide(replace(running, state="FINISHED", since=OLD), facts).reason == (
        "v3 was made by it"
    )
    assert decide(replace(running, name="s", training="open"), facts).action == "keep"
    assert decide(replace(running, name="s", training="nobody's"), facts).action == "finish"
    lost = Thing("run", "m", "s", OLD, training="x", state="FINISHED")
    assert decide(lost, facts).action == "remove"


def test_a_snapshot_of_a_needed_version_stays() -> None:
    facts = replace(SERVED, trainings={"k7": training("registered", 7)})
    assert decide(Thing("snapshot", "m", "k7", OLD, training="k7"), facts).action == "keep"
    assert decide(Thing("study", "m", "k7", OLD, training="k7"), facts).action == "remove"


def test_bundles_that_are_not_seen_prove_nothing_while_the_store_may_be_away() -> None:
    absent = Thing("version", "m", "v3", OLD, 3, state="no_bundle")
    ready = Thing("version", "m", "v4", OLD, 4, state="ready")
    needed = Thing("version", "m", "v9", OLD, 9, state="no_bundle")
    assert decide(absent, SERVED, ready).action == "remove"
    assert decide(absent, SERVED).action == "keep"
    assert decide(absent, SERVED, ready, needed).action == "keep"


def test_a_trial_is_finished_unless_its_study_goes() -> None:
    trial = Thing("trial", "m", "k", RECENT, training="k")
    facts = ModelFacts(trainings={"k": training("open")})
    assert decide(trial, facts).action == "finish"
    assert decide(replace(trial, since=OLD), facts).action == "keep"


def test_a_model_that_nothing_is_known_of_keeps_everything() -> None:
    (decided,) = decide_retention([Thing("image", "x", "i", OLD, 1)], {}, RULES, NOW)
    assert decided.action == "keep"


# --- whatever the facts -------------------------------------------------------------------------

VERSIONS, KEYS, NAMES = st.integers(1, 4), st.sampled_from("abcd"), st.sampled_from("stuv")
TIMES = st.integers(0, 90 * 24).map(lambda hours: NOW - dt.timedelta(hours=hours))
#: Mostly old: what is young is kept, whatever else is wrong.
AGES = st.sampled_from([OLD, OLD - DAY, OLD - 2 * DAY, RECENT, YOUNG, None])
KINDS = st.sampled_from(["image", "version", "snapshot", "service", *get_args(Kind)]).filter(
    lambda kind: kind != "deployment"
)
STATES = st.sampled_from(
    ["", "RUNNING", "FINISHED", "pending", "second", "second", "no_bundle", "ready", "unrecorded"]
)
FACTS = st.builds(
    ModelFacts,
    aliases=st.dictionaries(st.sampled_from(["champion", "staging", "own"]), VERSIONS),
    deployments=st.lists(
        st.builds(
            DeploymentFact,
            VERSIONS,
            st.sampled_from(["staging", "production"]),
            st.sampled_from(["starting", "live", "stopping", "stopped", "failed"]),
            NAMES,
            st.none() | TIMES,
        ),
        max_size=5,
    ).map(tuple),
    waiting=st.frozensets(VERSIONS, max_size=2),
    trainings=st.dictionaries(
        KEYS,
        st.builds(
            TrainingFact,
            st.sampled_from(["open", "won", "failed", *sorted(OVER)]),
            TIMES,
            st.none() | VERSIONS,
        ),
    ),
    versions_of_runs=st.dictionaries(NAMES, VERSIONS),
    reports=st.frozensets(NAMES),
    has_spec=st.booleans(),
)
THINGS = st.lists(
    st.builds(
        Thing,
        KINDS,
        st.just("m"),
        NAMES,
        AGES,
        st.none() | VERSIONS,
        st.sampled_from(["", "", *"abcde"]),
        STATES,
        st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=8,
)


def is_needed(thing: Thing, facts: ModelFacts, things: list[Thing]) -> bool:  # noqa: PLR0911
    """Said once more, in other words than the policy's."""
    known = facts.trainings.get(thing.training)
    version = thing.version or (known.version if known else None)
    pointed_at = set(facts.aliases.values()) | set(facts.waiting)
    running = [d for d in facts.deployments if d.state in UNDER_WAY]
    pointed_at |= {d.version for d in running}
    for place in ("staging", "production"):
        there = [d for d in facts.deployments if d.environment == place]
        live = {d.version for d in there if d.state == "live"}
        been = sorted(
            (d for d in there if d.live_at and d.version not in live),
            key=lambda d: (d.live_at, d.version),
        )
        pointed_at |= {d.version for d in been[-1:]}
    if thing.kind in ("image", "version", "snapshot") and version in pointed_at:
        return True
    over = {d.service for d in facts.deployments} - {d.service for d in running}
    if thing.kind == "service" and thing.name not in over:
        return True
    if thing.kind == "spool" and thing.version in {d.version for d in running}:
        return True
    if thing.since is None or NOW - thing.since < DAY or thing.holds:
        return True
    if thing.kind == "run" and thing.name in facts.versions_of_runs:
        return True
    if known and known.state not in OVER and thing.kind != "version":
        if known.version is not None:
            return True
        signs = [t.since for t in things if t.training == thing.training and t.since]
        return any(NOW - sign < RULES.retention for sign in [known.opened_at, *signs])
    return False


@given(FACTS, THINGS)
@settings(max_examples=500, deadline=None)
def test_nothing_that_is_needed_is_ever_removed(facts: ModelFacts, things: list[Thing]) -> None:
    for decided in decide_retention(things, {"m": facts}, RULES, NOW):
        assert decided.reason
        if decided.action == "remove":
            assert not is_needed(decided.thing, facts, things), decided
