"""Bad files 15, 16 and 28, as far as a training: rows that ingest takes, and none should learn."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from include.evergreen.contracts import IngestReport
from include.evergreen.stages.ingest import ingest
from tests.unit.stages.training.conftest import Loop

#: At least as long as the holdout of the shipped spec.
HOLDOUT_DAYS = 15
LATER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


def landed(loop: Loop, name: str, rows: pl.DataFrame) -> IngestReport:
    """Put rows as a CSV file into the landing zone, and take it in as its DAG does."""
    folder = Path(loop.spec.landing_uri(loop.settings))
    folder.mkdir(parents=True, exist_ok=True)
    rows.write_csv(folder / name)
    resources = loop.resources
    files = ingest.discover_files(resources, now=LATER)
    return ingest.ingest_files(resources, files, owner=name, now=LATER)


def test_15_a_constant_target_is_kept_and_a_snapshot_of_it_is_not_yet(bike, rides):
    rows = rides("2011-01-01", "2011-04-01").with_columns(cnt=pl.lit(7))
    assert landed(bike, "a.csv", rows).rows_appended == rows.height
    assert bike.freeze(bike.claim()) is None
    assert "the target is constant (7" in bike.last_reason()


def test_16_a_class_that_is_absent_is_kept_and_a_snapshot_of_it_is_not_yet(electricity, prices):
    rows = prices(0, 4000)
    target = electricity.spec.data.target
    one = rows.filter(pl.col(target) == rows[target][0])
    assert landed(electricity, "a.csv", one).rows_appended == one.height
    assert electricity.freeze(electricity.claim()) is None
    reason = electricity.last_reason()
    assert "absent" in reason or "constant" in reason or "one class" in reason, reason


@pytest.mark.parametrize(("flipped", "least", "most"), [(False, -0.01, 0.01), (True, -0.2, -0.02)])
def test_28_labels_flipped_for_a_fifth_of_the_rows_are_caught_by_the_gate(
    electricity, prices, flipped, least, most
):
    """Rows that keep every rule, from a source that lied for a while; the newest are true.

    The flip is not at random, which is noise that a model averages out: it is where demand is
    high. Without it the challenger ties with the champion, so it is the lie that costs it more.
    The gate judges models, not labels: a challenger that learned a lie and still beats a champion
    by far, because the world has moved, wins on true rows.
    """
    target, time = electricity.spec.data.target, electricity.spec.data.time
    rows = prices(0, 12_000)  # shuffled over time, so that only the lie sets old and new apart
    rows = rows.drop(time).sample(fraction=1, shuffle=True, seed=7).with_columns(rows[time])
    electricity.change(data={"key": time})
    known, fresh = rows[:1500], rows[1500:]
    assert landed(electricity, "1.csv", known).rows_appended == known.height
    champion = electricity.train()[3]
    electricity.crown(champion)
    lied_until = fresh[time].max() - dt.timedelta(days=HOLDOUT_DAYS)
    demand = pl.col("nswdemand").rank("ordinal", descending=True)
    liars = (demand <= 0.2 * fresh.height) & (pl.col(time) < lied_until)
    if flipped:
        lie = pl.when(liars).then(1 - pl.col(target)).otherwise(pl.col(target))
        fresh = fresh.with_columns(lie.alias(target))
    assert landed(electricity, "2.csv", fresh).rows_appended == fresh.height
    _, _, word, candidate = electricity.train()
    assert word.verdict == "lost", word.reason
    assert least < word.improvement < most, word.reason
    assert candidate is None
    registry = electricity.resources.registry
    assert registry.version_of(electricity.spec.model, "champion") == champion.version
