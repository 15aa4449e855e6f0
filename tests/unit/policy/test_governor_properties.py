"""Whatever comes in whatever order: budgets hold, and nothing waits without an end or a reason."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from include.evergreen.contracts import RetrainRequest
from include.evergreen.policy import brakes
from include.evergreen.policy.brakes import DAY, BrakeRules, Spent, Track
from include.evergreen.policy.governor import RetrainRules, Situation, decide

START = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
REASONS = ("new_data", "drift", "schedule", "manual")
LIMITS = BrakeRules(
    cooldown_s=1800,
    daily_trainings=3,
    daily_compute_seconds=1000,
    max_rejections=2,
    rejection_pause_s=7200,
)
RULES = RetrainRules(
    on_new_data=True,
    min_new_rows=10,
    on_drift=True,
    min_rows=20,
    drift_windows=2,
    drift_windows_of=3,
    brakes=LIMITS,
)
LONGEST = 600.0


class Governed(RuleBasedStateMachine):
    """One model for weeks: rows, drift and requests come, trainings win, lose and crash."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.pending: list[RetrainRequest] = []
        self.asked = self.answered = 0
        self.rows = self.rows_since = self.rejections = 0
        self.windows: list[bool] = []
        self.has_model = self.unfinished = False
        self.last_ended: dt.datetime | None = None
        self.last_rejected: dt.datetime | None = None
        self.opened: list[dt.datetime] = []
        self.spent: list[Spent] = []

    def situation(self, now: dt.datetime | None = None) -> Situation:
        track = Track(
            opened=self.opened,
            spent=self.spent,
            last_ended=self.last_ended,
            rejections=self.rejections,
            last_rejected=self.last_rejected,
            resumes=self.unfinished,
        )
        at = now or self.now
        return Situation(self.rows, self.rows_since, self.has_model, at, self.windows[:3], track)

    @rule(minutes=st.integers(1, 600))
    def time_passes(self, minutes: int) -> None:
        self.now += dt.timedelta(minutes=minutes)

    @rule(rows=st.integers(1, 30))
    def rows_come(self, rows: int) -> None:
        self.rows, self.rows_since = self.rows + rows, self.rows_since + rows
        self.unfinished = False
        self.ask("new_data")

    @rule(drifted=st.booleans())
    def a_window_is_looked_at(self, drifted: bool) -> None:
        self.windows.insert(0, drifted)
        if drifted:
            self.ask("drift")

    @rule(reason=st.sampled_from(["schedule", "manual"]))
    def somebody_asks(self, reason: str) -> None:
        self.ask(reason)

    def ask(self, reason: str) -> None:
        self.asked += 1
        cause = f"{reason}:{self.asked}"
        self.pending.append(RetrainRequest(self.asked, "m", reason, cause, self.now.isoformat()))  # type: ignore[arg-type]

    @rule(ends=st.sampled_from(["won", "lost", "crashed"]), cost=st.floats(1, LONGEST))
    def train_looks(self, ends: str, cost: float) -> None:
        if decide(self.pending, RULES, self.situation()).verdict != "go":
            return
        if not self.unfinished:
            self.opened.append(self.now)
        self.spent.append(Spent(self.now, cost))
        self.unfinished = ends == "crashed"
        if ends == "crashed":
            return
        self.answered += len(self.pending)
        self.pending, self.rows_since, self.last_ended = [], 0, self.now
        self.has_model = self.has_model or ends == "won"
        self.rejections = self.rejections + 1 if ends == "lost" else 0
        self.last_rejected = self.now if ends == "lost" else self.last_rejected

    @invariant()
    def no_24_hours_have_more_trainings_than_the_budget(self) -> None:
        for last in self.opened:
            within = [at for at in self.opened if last - DAY < at <= last]
            assert len(within) <= LIMITS.daily_trainings

    @invariant()
    def no_24_hours_cost_more_than_the_budget_and_the_training_that_crossed_it(self) -> None:
        for last in self.spent:
            cost = sum(s.seconds for s in self.spent if last.at - DAY < s.at <= last.at)
            assert cost <= LIMITS.daily_compute_seconds + LONGEST

    @invariant()
    def every_request_was_answered_or_is_pending(self) -> None:
        assert self.answered + len(self.pending) == self.asked

    @precondition(lambda self: not self.pending)
    @invariant()
    def nothing_pending_trains_nothing(self) -> None:
        assert decide([], RULES, self.situation()).verdict == "nothing"

    @precondition(lambda self: self.pending)
    @invariant()
    def what_is_pending_is_granted_or_has_a_reason_and_a_time_that_is_kept(self) -> None:
        decision = decide(self.pending, RULES, self.situation())
        assert decision.reason
        if decision.verdict == "go":
            return
        assert decision.verdict == "not_yet"
        if decision.until is None:
            assert "when" in decision.reason, "something else than time must come, and is named"
            return
        assert decision.until > self.now
        assert decide(self.pending, RULES, self.situation(decision.until)).verdict == "go"
        before = decision.until - dt.timedelta(microseconds=1)
        assert decide(self.pending, RULES, self.situation(before)).verdict == "not_yet"


Governed.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestGoverned = Governed.TestCase


def test_the_properties_see_a_budget_that_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard is proven: without the daily brake, the same machine finds a day too full."""
    monkeypatch.setattr(brakes, "_trainings", lambda *_: None)
    machine = Governed()
    for _ in range(8):
        machine.somebody_asks("manual")
        machine.rows_come(30)
        machine.train_looks("won", 1.0)
    with pytest.raises(AssertionError):
        machine.no_24_hours_have_more_trainings_than_the_budget()


@given(
    reasons=st.lists(st.sampled_from(REASONS), max_size=5),
    rows=st.integers(0, 50),
    has_model=st.booleans(),
)
def test_without_a_reason_that_holds_the_answer_is_no(reasons, rows, has_model) -> None:
    pending = [
        RetrainRequest(n, "m", reason, str(n), START.isoformat())
        for n, reason in enumerate(reasons)
    ]
    decision = decide(
        pending, RULES, Situation(rows, rows, has_model, START, windows=[False, False, False])
    )
    may_go = (
        rows >= RULES.min_rows
        if not has_model
        else "manual" in reasons
        or ("schedule" in reasons and rows > 0)
        or ("new_data" in reasons and rows >= RULES.min_new_rows)
    )
    assert (decision.verdict == "go") == (bool(reasons) and may_go)
    assert (decision.verdict == "nothing") == (not reasons)
