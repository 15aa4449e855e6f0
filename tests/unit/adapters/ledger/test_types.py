from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.adapters.ledger.facts import MODEL, NOW, judgement, snapshot

_texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
_documents = st.dictionaries(
    _texts,
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | _texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
_each = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@_each
@given(name=_texts, fingerprint=_texts)
@example(name="/landing/\udcff\x00 \\x00.csv", fingerprint="escaped:already")
def test_any_file_name_comes_back_as_it_was(ledger, name, fingerprint):
    ledger.acknowledge_landed(MODEL, name, fingerprint, "digest", NOW)
    assert ledger.acknowledged(MODEL)[name] == fingerprint


@_each
@given(document=_documents)
@example(document={"a": float("inf"), "b": [-float("inf")], "c": "\x00\ud800"})
def test_any_json_comes_back_as_it_was(ledger, document):
    ledger.set_last_monitored(MODEL, document, NOW)
    assert ledger.last_monitored(MODEL) == document


def test_a_score_that_is_no_number_is_kept_as_one(ledger):
    ledger.open_training(snapshot(), "run", NOW)
    word = judgement("not_yet", "the metric is NaN")
    nan = type(word.challenger)("rmse", float("nan"), 10)
    ledger.record_judgement("key1", type(word)("not_yet", word.reason, nan), NOW)
    assert str(ledger.training("key1").judgement.challenger.value) == "nan"


def test_times_come_back_aware_and_in_utc_whatever_zone_they_were_given_in(ledger):
    there = dt.timezone(dt.timedelta(hours=5, minutes=30))
    ledger.record_decision(MODEL, "train", "no", "few rows", {}, NOW.astimezone(there))
    seen = ledger.decisions(MODEL)[0].first_seen
    assert (seen, seen.utcoffset()) == (NOW, dt.timedelta(0))


def test_a_time_without_a_zone_is_refused(ledger):
    with pytest.raises(sa.exc.StatementError, match="without a zone"):
        ledger.record_decision(MODEL, "train", "no", "few", {}, NOW.replace(tzinfo=None))
