"""A canary behind the real gateway: clients lose no request, a broken version goes by itself."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import requests
from sklearn.ensemble import HistGradientBoostingRegressor

from include.evergreen.contracts import Deployment, Proposal
from include.evergreen.errors import ReleaseAborted
from include.evergreen.policy import releasing
from include.evergreen.stages.release import strategies
from include.evergreen.stages.release.stand import under_way
from include.evergreen.stages.release.words import words
from tests.containers import conftest
from tests.containers.asking import asking
from tests.containers.conftest import House

CLIENTS, LONGEST_S = 3, 40.0
STEPS = (0.2, 0.6)
CANARY = {
    "steps": list(STEPS),
    "window_s": 2.0,
    "min_requests": 30,
    "deadline_s": 60.0,
    "max_p99_ratio": 100.0,  # of two busy cores
    "max_prediction_shift": 0.5,
}
GOLDEN_ROWS = 20


def not_everywhere_a_number(**settings: Any) -> HistGradientBoostingRegressor:
    """A model that answers NaN where none of its golden rows lies: nothing proves it before."""
    estimator = HistGradientBoostingRegressor(**settings)
    fit = estimator.fit

    def broken(rows: np.ndarray, target: np.ndarray) -> None:
        del estimator.fit
        fit(rows, target)
        golden = rows[:GOLDEN_ROWS]
        for nodes in (each[0].nodes for each in estimator._predictors):
            leaves = np.flatnonzero(nodes["is_leaf"])
            for leaf in sorted(leaves, key=lambda leaf: nodes["count"][leaf], reverse=True):
                value = nodes["value"][leaf]
                nodes["value"][leaf] = np.nan
                if np.isfinite(estimator.predict(golden)).all():
                    return
                nodes["value"][leaf] = value
        raise AssertionError("every leaf has a golden row")

    estimator.fit = broken
    return estimator


class Clients:
    """What came of the requests that never stop, and when: version and status."""

    def __init__(self, endpoint: str) -> None:
        self.url = f"{endpoint}/invocations"
        self.answers: list[tuple[float, str, int]] = []
        self.over = threading.Event()
        frame = conftest.rows(5)
        self.rows = [
            {"at": at.isoformat(), "temperature": degrees, "weather": weather}
            for at, degrees, weather, _ in frame.iter_rows()
        ]

    def run(self, seed: int) -> None:
        draw = random.Random(seed)
        with requests.Session() as session:
            while not self.over.is_set():
                body = {"dataframe_records": [draw.choice(self.rows)]}
                try:
                    answer = session.post(self.url, json=body, timeout=10)
                    said = answer.headers.get("X-Model-Version", "nobody"), answer.status_code
                except requests.RequestException as error:
                    said = type(error).__name__, 0
                self.answers.append((time.monotonic(), *said))
                time.sleep(0.002)

    def counted(self, since: float = 0.0) -> Counter[tuple[str, int]]:
        return Counter((who, status) for at, who, status in self.answers if at > since)


def looked_at(house: House, proposal: Proposal, see: Callable[[], None]) -> Deployment:
    """Look again and again, as the task does, each time with what `start` hands on."""
    proven = house.start(proposal)
    began = time.monotonic()
    while time.monotonic() - began < LONGEST_S:
        deployed = strategies.shift_traffic(house.resources, proposal, proven)
        if deployed is not None:
            return deployed
        see()
        time.sleep(0.3)
    raise AssertionError(f"no end after {LONGEST_S:g} s: {words_of(house)}")


def words_of(house: House) -> list[tuple[releasing.Word, str]]:
    found = words(house.resources.ledger, "rides")
    return [(word, decision.reason) for word, decision in found]


@pytest.mark.slow
@pytest.mark.parametrize("house", ["docker"], indirect=True)
def test_a_canary_that_answers_nan_goes_and_a_good_one_comes_to_production_with_no_request_lost(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = house.release(1)
    with monkeypatch.context() as patch:
        patch.setattr(conftest, "HistGradientBoostingRegressor", not_everywhere_a_number)
        house.deploy(2)
    house = house.with_spec(strategy="canary", canary=CANARY)
    with asking(Clients(first.service.endpoint), CLIENTS) as clients:
        time.sleep(0.5)
        broken = house.approve()
        with pytest.raises(ReleaseAborted, match=r"v2 was not released.*v1 answers every request"):
            looked_at(house, broken, lambda: None)
        aborted = time.monotonic()
        time.sleep(1.0)
        seen, after = clients.counted(), clients.counted(aborted)
        assert set(seen) <= {("1", 200), ("2", 200)}, "what it failed the champion answered"
        assert set(after) == {("1", 200)}, "the champion serves all"
        assert house.states() == [(1, "live"), (2, "failed")]
        assert len(house.runtime.find("rides", "production")) == 1
        assert "not chance" in words_of(house)[0][1]
        assert house.propose() is None, "what was aborted is not proposed again by itself"

        house.deploy(3)
        proposal = house.approve()
        began, shares = time.monotonic(), set()

        def see() -> None:
            traffic = house.runtime.traffic("rides", "production").shares
            shares.update(round(share, 2) for name, share in traffic.items() if "-v3-" in name)

        deployed = looked_at(house, proposal, see)
        house.watch(proposal)
        time.sleep(0.5)
        seen = clients.counted(began)
    assert shares == set(STEPS), "each step, and none twice as large"
    assert set(seen) == {("1", 200), ("3", 200)}, "none was lost"
    assert clients.answers[-1][1] == "3"
    assert deployed.service.endpoint == first.service.endpoint
    assert (house.live(), house.champion()) == (3, 3)
    assert house.states() == [(1, "stopped"), (2, "failed"), (3, "live")]
    told = [link.event for link in house.resources.ledger.journal("rides")]
    ours = [event.split(":") for event in told if ":v3:" in event and "step" in event]
    assert [(event[0], event[-1]) for event in ours] == [
        ("advanced", f"step {step}") for step in (1, 2, 3)
    ]
    assert any(event.startswith("aborted:v2") for event in told)
    assert under_way(house.resources) is None
