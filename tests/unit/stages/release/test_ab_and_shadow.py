"""An a/b test ends by late labels, a shadow by what was logged; only the runtime is faked."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pytest

from include.evergreen.adapters.registry import Registry
from include.evergreen.contracts import Proposal
from include.evergreen.errors import ReleaseAborted, Unavailable
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.deploy import services, settle
from include.evergreen.stages.release import ab, on_card, rollout, shadow
from include.evergreen.stages.resources import Resources
from tests.containers.conftest import House
from tests.unit.stages.release.conftest import spec
from tests.unit.stages.release.fake_runtime import serving
from tests.unit.stages.release.test_canary import Production, name

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def production(
    house: House, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Production]:
    strategy = request.param
    document = spec().model_dump(mode="json", exclude_unset=True)
    document["deployment"].update(strategy=strategy, **KNOBS[strategy])
    document["data"]["columns"]["ride"] = {"type": "integer"}
    document["data"]["key"] = "ride"
    with serving() as runtime:
        monkeypatch.setattr(services, "runtime_of", lambda *_: runtime)
        monkeypatch.setattr(settle, "anchor_entries", lambda *_, **__: None)
        monkeypatch.setattr(on_card, "add_decisions", lambda *_: None)
        resources = Resources(
            ModelSpec.model_validate(document), house.resources.settings, owner="a run"
        )
        resources.__dict__["runtime"] = runtime
        found = Production(House(resources, house.folder), runtime)
        found.champion(1)
        runtime.done.clear()
        yield found


KNOBS: dict[str, dict[str, Any]] = {
    "ab": {"ab": {"min_labels": 20, "share": 0.5, "deadline_s": 3600}},
    "shadow": {"shadow": {"min_requests": 5, "max_difference": 0.5, "deadline_s": 3600}},
}


def log_requests(
    production: Production,
    version: int,
    predictions: list[float],
    environment: str = "production",
    request_id: str = "",
) -> None:
    """So many requests of one row, each with a key of its own, as `collect` leaves them.

    With an id they are one request of as many rows.
    """
    lake, at = production.house.resources.lake, production.clock()
    known = lake.version("rides", "requests")
    first = 0 if known is None else lake.scan("rides", "requests").collect().height
    keys = range(first, first + len(predictions))
    frame = pl.DataFrame(
        {
            "temperature": [10.0 + n % 5 for n in keys],
            "weather": "mist",
            "at": at,
            "ride": [str(n) for n in keys],
            "prediction": predictions,
            "request_id": [request_id or f"r{n}" for n in keys],
            "time": at,
            "version": version,
            "_environment": environment,
        },
        schema_overrides={
            "at": pl.Datetime("us", "UTC"), "time": pl.Datetime("us", "UTC"), "version": pl.Int64,
        },
    )  # fmt: skip
    lake.append_rows("rides", "requests", [frame], transaction=f"requests:{first}")


def label_all(production: Production, truth: float) -> None:
    lake = production.house.resources.lake
    keys = [int(key) for key in lake.scan("rides", "requests").collect()["ride"]]
    label(production, keys, truth)


def label(production: Production, keys: list[int], truth: float) -> None:
    """Labels as `ingest` leaves them: now."""
    now = production.clock()
    frame = pl.DataFrame(
        {"ride": keys, "count": truth, "_row_number": range(len(keys)), "_ingested_at": now},
        schema_overrides={"_ingested_at": pl.Datetime("us", "UTC")},
    )
    lake = production.house.resources.lake
    lake.append_rows("rides", "rows", [frame], transaction=f"labels {now}")


@pytest.mark.parametrize("production", ["ab"], indirect=True)
@pytest.mark.parametrize(("old", "new", "wins"), [(3.0, 1.0, True), (1.0, 3.0, False)])
def test_an_ab_test_ends_by_labels_with_a_report(
    production: Production, old: float, new: float, wins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[str, Any] = {}
    monkeypatch.setattr(Registry, "log_text", lambda _, run, text, file: written.update(text=text))
    monkeypatch.setattr(Registry, "log_values", lambda _, run, *, metrics: written.update(metrics))
    proposal = production.new(2, 1)
    assert production.look(proposal) is None
    assert production.look(proposal) is None, "no label: not yet"
    log_requests(production, 1, [10 + old + n % 3 / 10 for n in range(40)])
    log_requests(production, 2, [10 + new + n % 3 / 10 for n in range(40)])
    assert production.look(proposal) is None, "answers without labels: not yet"
    label_all(production, 10.0)
    if wins:
        assert production.look(proposal).version == 2
        assert production.shares() == [(0.5, 0.5), name(2)]
        assert production.events(2)[-2:] == ["advanced:v2:step 2", "released:v2"]
    else:
        with pytest.raises(ReleaseAborted, match="a/b test: the old version loses less"):
            production.look(proposal)
        assert production.runtime.shares == {name(1): 1.0}
    assert f"**Decision: {'challenger' if wins else 'champion'}.**" in written["text"]
    assert written["ab_difference"] == pytest.approx(old**2 - new**2, rel=0.1)
    assert (written["ab_low"] > 0) == wins
    links = production.house.resources.ledger.journal("rides")
    (told,) = [
        d for d in (json.loads(link.document) for link in links) if "a/b test: the" in d["why"]
    ]
    assert told["evidence"]["low"] == pytest.approx(written["ab_low"])


def losses_of(production: Production, began: dt.datetime) -> list[tuple[int, float]]:
    found = ab.labelled_answers(production.house.resources, (1, 2), began)
    return sorted(found.iter_rows())


@pytest.mark.parametrize("production", ["ab"], indirect=True)
def test_only_labels_that_came_after_the_answer_tell_who_was_right(production: Production) -> None:
    label(production, [0, 1, 2, 3], 100.0)  # of last month: the versions were trained on it
    production.pass_s(1)
    began = production.clock()
    label(production, [1], 100.0)  # of before the request
    production.pass_s(1)
    log_requests(production, 1, [12.0, 12.0, 12.0])
    assert losses_of(production, began) == []
    production.pass_s(1)
    label(production, [2], 10.0)
    assert losses_of(production, began) == [(1, 4.0)]
    production.pass_s(1)
    again = production.house.resources.lake.scan("rides", "requests").collect()
    later = pl.col("time") + dt.timedelta(seconds=5)
    production.house.resources.lake.append_rows(
        "rides", "requests", [again.with_columns(later, prediction=99.0)], transaction="again"
    )
    assert losses_of(production, began) == [(1, 4.0)], "what was asked since has no label yet"


@pytest.mark.parametrize("production", ["ab"], indirect=True)
def test_what_is_asked_in_staging_decides_nothing(production: Production) -> None:
    began = production.clock()
    log_requests(production, 1, [11.0])
    log_requests(production, 2, [10.0] * 40, "staging")
    label_all(production, 10.0)
    assert losses_of(production, began) == [(1, 1.0)]


@pytest.mark.parametrize("production", ["ab"], indirect=True)
def test_a_lost_ab_test_ends_while_mlflow_is_away(
    production: Production, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise Unavailable("MLflow does not answer.")

    monkeypatch.setattr(Registry, "log_text", away)
    proposal = production.new(2, 1)
    production.look(proposal)
    log_requests(production, 1, [11 + n % 3 / 10 for n in range(40)])
    log_requests(production, 2, [14 + n % 3 / 10 for n in range(40)])
    label_all(production, 10.0)
    with pytest.raises(ReleaseAborted, match="a/b test: the old version loses less"):
        production.look(proposal)
    assert production.runtime.shares == {name(1): 1.0}
    assert production.events(2)[-1] == "aborted:v2"
    assert "There is no release/ab.md of v2: MLflow does not answer." in caplog.text


@pytest.mark.parametrize("production", ["ab"], indirect=True)
def test_an_ab_test_whose_key_is_taken_out_of_the_spec_ends(production: Production) -> None:
    proposal = production.new(2, 1)
    production.look(proposal)
    production.look(proposal)
    log_requests(production, 1, [1.0])
    label_all(production, 1.0)
    old = production.house.resources
    document = old.spec.model_dump(mode="json", exclude_unset=True)
    document["deployment"]["strategy"] = "canary"
    del document["data"]["key"]
    keyless = Resources(ModelSpec.model_validate(document), old.settings, owner=old.owner)
    production.house = House(keyless, production.house.folder)
    with pytest.raises(ReleaseAborted, match=r"data\.key is in the spec no longer"):
        production.look(proposal)
    assert production.runtime.shares == {name(1): 1.0}


@pytest.mark.parametrize("production", ["ab"], indirect=True)
def test_a_key_that_the_log_does_not_have_yet_labels_nothing(production: Production) -> None:
    began = production.clock()
    log_requests(production, 1, [1.0])
    label_all(production, 1.0)
    old = production.house.resources
    document = old.spec.model_dump(mode="json", exclude_unset=True)
    document["data"]["columns"]["customer"] = {"type": "integer"}
    document["data"]["key"] = "customer"
    other = Resources(ModelSpec.model_validate(document), old.settings, owner=old.owner)
    assert ab.labelled_answers(other, (1, 2), began).is_empty()


@pytest.mark.parametrize("production", ["ab"], indirect=True)
def test_what_clients_get_wrong_ends_no_ab_test(production: Production) -> None:
    proposal = production.new(2, 1)
    production.look(proposal)
    production.serve(1)
    production.serve(2, 40, refusals=400)  # one client, whose key is on this side
    assert production.look(proposal) is None
    production.serve(1, refusals=400)
    production.serve(2, 40, failures=20)
    with pytest.raises(ReleaseAborted, match="20 of 500 failed"):
        production.look(proposal)


@pytest.mark.parametrize("production", ["ab"], indirect=True)
def test_an_ab_test_without_labels_is_over_at_its_deadline_and_one_that_fails_at_once(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "log_text", lambda *_: None)
    monkeypatch.setattr(Registry, "log_values", lambda *_, **__: None)
    proposal = production.new(2, 1)
    production.look(proposal)
    production.pass_s(3600)
    with pytest.raises(ReleaseAborted, match="the deadline of 3600 s is over: 0 labels"):
        production.look(proposal)
    proposal = production.new(3, 1)
    production.look(proposal)
    production.serve(1)
    production.serve(3, 40, failures=20)
    with pytest.raises(ReleaseAborted, match="20 of 60 failed"):
        production.look(proposal)


@pytest.mark.parametrize("production", ["shadow"], indirect=True)
@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([5.1, 6.1, 7.1, 8.1, 9.1], ""),
        ([9.0, 9.0, 9.0, 19.0, 19.0], "the answers to 5 requests differ by"),
        ([None] * 5, "of the replayed requests 2 of 2 failed"),
    ],
    ids=["as the champion", "otherwise", "not at all"],
)
def test_a_shadow_is_asked_what_the_champion_was_asked(
    production: Production, answers: list[float | None], why: str
) -> None:
    log_requests(production, 1, [99.0] * 9)
    proposal = production.new(2, 1)
    assert production.look(proposal) is None, "nothing was logged since it began: not yet"
    log_requests(production, 1, [99.0] * 9, "staging")
    assert production.look(proposal) is None, "and nothing in production"
    will_answer(production, answers[:1])
    log_requests(production, 1, [5.0])
    assert production.look(proposal) is None, "too little was logged"
    assert production.runtime.of(2).answers == []
    log_requests(production, 1, [6.0, 7.0, 8.0, 9.0])
    will_answer(production, answers[1:])
    if not why:
        assert production.look(proposal).version == 2
        assert production.shares() == [name(2)], "nobody was sent to it before"
        return
    served = production.runtime.of(2)
    with pytest.raises(ReleaseAborted, match=why):
        production.look(proposal)
    assert production.runtime.shares == {name(1): 1.0}
    assert len(served.answers) == (3 if answers[0] is None else 0), "no more once it is sure"


def will_answer(production: Production, answers: Sequence[float | list[float] | None]) -> None:
    """What v2 answers to the next requests: a row, several, or nothing good."""
    rows = [a if isinstance(a, list) or a is None else [a] for a in answers]
    production.runtime.of(2).answers = [
        (500, b"{}") if a is None else (200, json.dumps({"predictions": a}).encode()) for a in rows
    ]


@pytest.mark.parametrize("production", ["shadow"], indirect=True)
def test_requests_of_one_id_are_many_and_those_of_many_rows_are_enough_in_several_looks(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "_MAX_ROWS", 6)
    proposal = production.new(2, 1)
    production.look(proposal)
    for n in range(5):
        log_requests(production, 1, [n + 1.0, n + 2.0, n + 3.0, n + 4.0], request_id="theirs")
    for n in (0, 2):
        will_answer(production, [[m + 1.0, m + 2.0, m + 3.0, m + 4.1] for m in (n, n + 1)])
        assert production.look(proposal) is None, "two requests have more rows than a look takes"
        assert production.runtime.of(2).answers == []
    will_answer(production, [[5.0, 6.0, 7.0, 8.1]])
    assert production.look(proposal).version == 2
    (told,) = [w for w in reasons(production) if "answers to 5 requests" in w]
    assert "differ by 0.0139 on average" in told, "over all looks: 0.1 of a row in four, of 1.8"


def reasons(production: Production) -> list[str]:
    links = production.house.resources.ledger.journal("rides")
    return [json.loads(link.document)["why"] for link in links]


@pytest.mark.parametrize("production", ["shadow"], indirect=True)
def test_a_look_at_a_shadow_that_is_slow_is_short_and_one_lost_probe_ends_nothing(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "LOOK_S", 0.0)
    proposal = production.new(2, 1)
    production.look(proposal)
    for n in (5.0, 6.0, 7.0):
        log_requests(production, 1, [n])
    for left in (2, 1, 0):
        will_answer(production, [5.0 if left else None] * 3)
        assert production.look(proposal) is None
        assert len(production.runtime.of(2).answers) == 2, "one request in this look"
    assert production.look(proposal) is None
    stand = rollout.stand_of(production.house.resources, 2)
    assert stand is not None
    assert (stand.replayed.requests, stand.replayed.failures) == (3, 1)


@pytest.mark.parametrize("production", ["shadow"], indirect=True)
def test_nobody_is_to_blame_while_the_gateway_is_started_anew(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = production.new(2, 1)
    production.look(proposal)
    log_requests(production, 1, [5.0, 6.0, 7.0])
    ways = iter(("one", "another"))
    monkeypatch.setattr(production.runtime, "way_to", lambda _: next(ways))
    will_answer(production, [None] * 3)
    assert production.look(proposal) is None
    stand = rollout.stand_of(production.house.resources, 2)
    assert stand is not None
    assert stand.replayed.requests == 0


@pytest.mark.parametrize("production", ["shadow"], indirect=True)
def test_a_shadow_ends_at_its_deadline_or_with_its_service(production: Production) -> None:
    def begun(version: int) -> Proposal:
        proposal = production.new(version, 1)
        assert production.look(proposal) is None
        return proposal

    proposal = begun(2)
    production.pass_s(3600)
    with pytest.raises(ReleaseAborted, match="deadline of 3600 s is over: 0 requests"):
        production.look(proposal)
    proposal = begun(3)
    production.runtime.of(3).state = "stopped"
    with pytest.raises(ReleaseAborted, match="it ended"):
        production.look(proposal)
    assert rollout.under_way(production.house.resources) is None


@pytest.mark.parametrize(
    ("task", "metric", "prediction", "label", "loss"),
    [
        ("regression", "rmse", 3.0, 1.0, 4.0),
        ("regression", "mae", 3.0, 1.0, 2.0),
        ("regression", "mape", 3.0, 2.0, 0.5),
        ("regression", "r2", 3.0, 1.0, 4.0),
        ("binary", "roc_auc", True, False, 1.0),
        ("binary", "brier", True, False, 0.64),
        ("binary", "log_loss", True, True, -math.log(0.8)),
    ],
)
def test_the_loss_of_a_row(
    task: str, metric: str, prediction: Any, label: Any, loss: float
) -> None:
    asked = spec().model_copy(update={"task": task, "training": spec().training.model_copy(
        update={"metric": metric})})  # fmt: skip
    row = {"prediction": [prediction], "_label": [label]}
    row |= {"probability_True": [0.8], "probability_False": [0.2]}
    frame = pl.DataFrame(row)
    assert frame.select(ab.loss_of(asked, frame.columns)).item() == pytest.approx(loss)
