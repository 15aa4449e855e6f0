"""A look at drift: what is compared, what is asked for, and what survives a failing report."""

import datetime as dt
import json
from pathlib import Path

import mlflow
import polars as pl
import pytest

from include.evergreen import settings
from include.evergreen.adapters import drift_reports
from include.evergreen.contracts import DriftReport, RunningService
from include.evergreen.errors import DriftReportFailed, NotInLake, is_retryable
from include.evergreen.stages.monitoring import drift_files
from include.evergreen.stages.monitoring.monitor import EVIDENTLY_EVERY, watch_drift
from include.evergreen.stages.resources import Resources
from tests.unit.stages import watched
from tests.unit.stages.watched import NOW, TRAINED_ON, append, make_champion, ride_rows

HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return watched.empty_mlflow(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture
def home(installation: settings.Settings, mlflow_database: Path) -> settings.Settings:
    watched.place_mlflow(mlflow_database, installation.home)
    return installation


@pytest.fixture
def resources(home: settings.Settings) -> Resources:
    """A champion trained on 2,000 rows, and nothing since."""
    return with_champion(Resources(watched.spec(), home))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Evidently left out where it is not what is tested; counts the reports asked for."""
    asked: list[int] = []

    def note(reference, current, columns, directory, **named):
        asked.append(current.height)
        for name in (drift_reports.HTML, drift_reports.JSON):
            (directory / name).write_text("{}")
        return drift_reports.WrittenReport(
            directory / drift_reports.HTML, directory / drift_reports.JSON, 1, 1, {}
        )

    monkeypatch.setattr(drift_reports, "write_report", note)
    return asked


def with_champion(resources: Resources) -> Resources:
    rows = ride_rows(0, TRAINED_ON)
    append(resources, rows, "trained")
    make_champion(resources, rows)
    return resources


def warmer(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("temperature") + 12)


def test_the_whole_report_is_logged_to_the_champions_run(resources: Resources):
    append(resources, warmer(ride_rows(TRAINED_ON, 300)), "warm")
    report = watch_drift(resources, now=NOW)
    assert report.verdict.verdict == "drift"
    assert report.verdict.drifted_columns == ("temperature",)
    assert (report.champion_version, report.request_id) == (1, 1)
    client = mlflow.MlflowClient(resources.settings.mlflow_uri)
    logged = {a.path: a for a in client.list_artifacts(report.run_id, "drift/20260601T120000Z")}
    names = ("drift.html", "evidently.html", "evidently.json", "verdict.json")
    assert sorted(logged) == [f"drift/20260601T120000Z/{name}" for name in names]
    folder = resources.settings.reports_dir / "rides" / "20260601T120000Z"
    stored = json.loads((folder / "verdict.json").read_text())
    assert DriftReport.from_json(stored) == report
    assert report.report_uri == (folder / "drift.html").as_uri()
    assert resources.ledger.drift_reports("rides") == [report]
    page = (folder / "drift.html").read_text()
    assert "Asked for a retrain (request 1)." in page
    assert 'href="evidently.html"' in page


def test_the_request_says_what_drifted(resources: Resources, quick):
    append(resources, warmer(ride_rows(TRAINED_ON, 300)), "warm")
    report = watch_drift(resources, now=NOW)
    (request,) = resources.ledger.pending_requests("rides")
    assert (request.reason, request.cause) == ("drift", "drift:v1:200")
    assert request.details["columns"] == ["temperature"]
    assert request.details["reason"] == report.verdict.reason


def test_the_same_rows_are_no_drift(resources: Resources, quick):
    append(resources, ride_rows(TRAINED_ON, 300), "same")
    report = watch_drift(resources, now=NOW)
    assert report.verdict.verdict == "no_drift"
    assert (report.verdict.rows_reference, report.verdict.rows_current) == (TRAINED_ON, 300)
    assert report.request_id is None
    assert resources.ledger.pending_requests("rides") == []
    assert quick == [300]


def test_nothing_new_is_no_look(resources: Resources, quick):
    append(resources, ride_rows(TRAINED_ON, 300), "same")
    assert watch_drift(resources, now=NOW) is not None
    assert watch_drift(resources, now=NOW + HOUR) is None
    append(resources, ride_rows(TRAINED_ON + 300, 10), "more")
    assert watch_drift(resources, now=NOW + 2 * HOUR).verdict.rows_current == 310


def test_too_few_rows_are_not_yet_with_the_count(resources: Resources, quick):
    append(resources, warmer(ride_rows(TRAINED_ON, 99)), "few")
    report = watch_drift(resources, now=NOW)
    assert report.verdict.verdict == "not_yet"
    assert report.verdict.reason == (
        "Not yet: 99 rows came in since the champion's, 100 are needed."
    )
    assert report.report_uri == ""
    assert quick == []
    assert watch_drift(resources, now=NOW) is None
    (decision,) = [d for d in resources.ledger.decisions("rides") if d.stage == "monitor"]
    assert decision.verdict == "not_yet"


def test_without_a_champion_it_is_not_yet(home: settings.Settings, quick):
    resources = Resources(watched.spec(), home)
    append(resources, ride_rows(0, 300), "first")
    report = watch_drift(resources, now=NOW)
    assert report.champion_version is None
    assert report.verdict.reason == "Not yet: no version is champion."
    assert watch_drift(resources, now=NOW) == report
    (decision,) = [d for d in resources.ledger.decisions("rides") if d.stage == "monitor"]
    assert decision.count == 2


def test_rows_older_than_what_the_champion_saw_are_not_current(resources: Resources, quick):
    append(resources, warmer(ride_rows(0, 500)), "a late file of old rows")
    assert watch_drift(resources, now=NOW).verdict.verdict == "not_yet"


def test_a_window_keeps_a_long_past_from_hiding_yesterday(home: settings.Settings, quick):
    """A day of 1,440 good rows, then 150 minutes in which a fifth of a column is missing."""
    gone = pl.when(pl.int_range(pl.len()) % 5 > 0).then(pl.col("temperature"))
    bad = ride_rows(TRAINED_ON + 1440, 150).with_columns(gone.alias("temperature"))
    verdicts = []
    for name, days in (("all", None), ("newest", 150 / 1440)):
        place = settings.load({"EVERGREEN_HOME": str(home.home / name)})
        watched.place_mlflow(home.home / "mlflow" / "mlflow.db", place.home)
        resources = Resources(watched.spec(monitoring={"window_days": days}), place)
        append(with_champion(resources), ride_rows(TRAINED_ON, 1440), "good")
        append(resources, bad, "bad")
        verdicts.append(watch_drift(resources, now=NOW).verdict)
    assert [v.verdict for v in verdicts] == ["no_drift", "drift"]
    assert [v.rows_current for v in verdicts] == [1590, 150]


def test_too_few_rows_in_the_window_are_not_yet(home: settings.Settings, quick):
    resources = Resources(watched.spec(monitoring={"window_days": 0.01}), home)
    append(with_champion(resources), ride_rows(TRAINED_ON, 500), "new")
    assert watch_drift(resources, now=NOW).verdict.reason == (
        "Not yet: 500 rows came in since the champion's, 100 are needed in the newest 0.01 days."
    )


def test_a_corrected_row_counts_once(resources: Resources, quick):
    append(resources, ride_rows(TRAINED_ON, 150), "first")
    append(resources, ride_rows(TRAINED_ON, 150), "corrected")
    assert watch_drift(resources, now=NOW).verdict.rows_current == 150


def test_without_a_time_column_batches_say_what_is_new(home: settings.Settings, quick):
    resources = with_champion(Resources(watched.spec(data={"time": None}), home))
    append(resources, ride_rows(TRAINED_ON, 150), "new")
    append(resources, ride_rows(0, 500), "corrections of rows that were seen")
    assert watch_drift(resources, now=NOW).verdict.rows_current == 150


def test_good_rows_do_not_hide_bad_requests(resources: Resources, quick):
    append(resources, ride_rows(TRAINED_ON, 5000), "good")
    bad = watched.served_rows(150).with_columns(temperature=pl.lit(None, pl.Float64))
    append(resources, bad, "bad", "requests")
    report = watch_drift(resources, now=NOW)
    assert report.verdict.drifted_columns == ("temperature",)
    assert "served requests" in report.verdict.columns[0].note
    assert report.verdict.rows_current == 5150


def test_only_the_champions_own_requests_count(resources: Resources, quick):
    append(resources, watched.served_rows(500, version=7), "others", "requests")
    assert watch_drift(resources, now=NOW).verdict.rows_current == 0
    append(resources, watched.served_rows(120), "own", "requests")
    assert watch_drift(resources, now=NOW).verdict.rows_current == 120


def test_requests_of_staging_count_until_there_is_a_production(resources: Resources, quick):
    def served(environment: str | None, n: int) -> pl.DataFrame:
        return watched.served_rows(n).with_columns(
            pl.lit(environment, pl.String).alias("_environment")
        )

    append(resources, warmer(watched.served_rows(150)), "before there was a production", "requests")
    append(resources, warmer(served("staging", 150)), "staging", "requests")
    append(resources, served("production", 120), "production", "requests")
    assert watch_drift(resources, now=NOW).verdict.rows_current == 300
    ledger = resources.ledger
    number = ledger.begin_deployment("rides", 1, "production", "rides-v1", NOW)
    ledger.record_service(number, RunningService("id", "rides-v1", "process", "", "", ""), NOW)
    ledger.finish_deployment(number, "live", "released", (), NOW)
    report = watch_drift(resources, now=NOW + HOUR)
    assert (report.verdict.verdict, report.verdict.rows_current) == ("no_drift", 120)
    assert watch_drift(resources, now=NOW + 2 * HOUR) is None


def test_few_rows_and_few_requests_are_compared_together(resources: Resources, quick):
    append(resources, ride_rows(TRAINED_ON, 60), "rows")
    append(resources, watched.served_rows(60), "requests", "requests")
    report = watch_drift(resources, now=NOW)
    assert (report.verdict.verdict, report.verdict.rows_current) == ("no_drift", 120)


def test_late_labels_are_no_missing_values_and_count_when_they_come(home: settings.Settings, quick):
    late = {"data": {**watched.DOCUMENT["data"], "labels": {"landing": "l", "key": "ride"}}}
    resources = with_champion(Resources(watched.spec(**late), home))
    fresh = ride_rows(TRAINED_ON, 300)
    unlabelled = fresh.with_columns(count=pl.lit(None, pl.Int64))
    append(resources, unlabelled, "unlabelled")
    assert watch_drift(resources, now=NOW).verdict.verdict == "no_drift"
    labels = fresh.select("ride", pl.col("count") + 500, "_row_number", "_file_digest")
    append(resources, labels, "labels", "labels")
    assert watch_drift(resources, now=NOW).verdict.drifted_columns == ("count",)


def test_an_everlasting_drift_asks_again_only_when_answered_and_the_rows_doubled(
    resources: Resources, quick
):
    def look(first: int, n: int) -> int | None:
        append(resources, warmer(ride_rows(TRAINED_ON + first, n)), f"{first}")
        return watch_drift(resources, now=NOW + first * dt.timedelta(minutes=1)).request_id

    assert look(0, 150) == 1
    assert look(150, 40) is None, "the same cause"
    assert look(190, 60) is None, "the rows doubled, but the first request still waits"
    resources.ledger.answer_requests([1], None, "lost", "no better", NOW)
    assert look(250, 20) == 2
    resources.ledger.answer_requests([2], None, "lost", "no better", NOW)
    assert look(270, 100) is None
    assert resources.ledger.pending_requests("rides") == []


def test_a_spec_that_does_not_retrain_on_drift_asks_nothing(home: settings.Settings, quick):
    resources = with_champion(Resources(watched.spec(retrain={"on_drift": False}), home))
    append(resources, warmer(ride_rows(TRAINED_ON, 300)), "warm")
    report = watch_drift(resources, now=NOW)
    assert (report.verdict.verdict, report.request_id) == ("drift", None)
    assert resources.ledger.pending_requests("rides") == []


def test_a_failing_report_hides_neither_verdict_nor_request(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
):
    append(resources, warmer(ride_rows(TRAINED_ON, 300)), "warm")
    with monkeypatch.context() as broken:
        broken.setattr(drift_reports, "_drift", lambda *a: 1 / 0)
        with pytest.raises(DriftReportFailed, match="ZeroDivisionError") as failure:
            watch_drift(resources, now=NOW)
    assert is_retryable(failure.value)
    (recorded,) = resources.ledger.drift_reports("rides")
    assert recorded.verdict.verdict == "drift"
    assert [r.id for r in resources.ledger.pending_requests("rides")] == [recorded.request_id]
    folder = resources.settings.reports_dir / "rides" / "20260601T120000Z"
    assert "The Evidently report is not made yet." in (folder / "drift.html").read_text()

    again = watch_drift(resources, now=NOW + HOUR)
    assert again == recorded
    assert len(resources.ledger.pending_requests("rides")) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["20260601T120000Z"]
    assert (folder / "evidently.html").is_file()
    assert watch_drift(resources, now=NOW + 2 * HOUR) is None


def test_a_crash_before_the_marker_repeats_the_look_and_not_the_request(
    resources: Resources, quick, monkeypatch: pytest.MonkeyPatch
):
    append(resources, warmer(ride_rows(TRAINED_ON, 300)), "warm")
    with monkeypatch.context() as broken:
        broken.setattr(type(resources.ledger), "set_last_monitored", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watch_drift(resources, now=NOW)
    assert watch_drift(resources, now=NOW).verdict.verdict == "drift"
    assert len(resources.ledger.pending_requests("rides")) == 1


def test_evidently_reports_what_is_new_and_now_and_then_what_is_not(resources: Resources, quick):
    def look(name: str, rows: pl.DataFrame, at: dt.datetime) -> int:
        before = len(quick)
        append(resources, rows, name)
        assert watch_drift(resources, now=at) is not None
        return len(quick) - before

    assert look("a", ride_rows(TRAINED_ON, 300), NOW) == 1
    assert look("b", ride_rows(TRAINED_ON + 300, 50), NOW + HOUR) == 0
    folder = resources.settings.reports_dir / "rides" / "20260601T130000Z"
    assert "20260601T120000Z/drift.html" in (folder / "drift.html").read_text()
    assert look("c", warmer(ride_rows(TRAINED_ON + 350, 900)), NOW + 2 * HOUR) == 1
    assert look("d", warmer(ride_rows(TRAINED_ON + 1250, 50)), NOW + 3 * HOUR) == 0
    late = NOW + 3 * HOUR + EVIDENTLY_EVERY
    assert look("e", warmer(ride_rows(TRAINED_ON + 1300, 50)), late) == 1


def test_a_new_champion_is_looked_at_anew(resources: Resources, quick):
    append(resources, warmer(ride_rows(TRAINED_ON, 600)), "warm")
    assert watch_drift(resources, now=NOW).verdict.verdict == "drift"
    make_champion(resources, warmer(ride_rows(TRAINED_ON, 600)), version=2)
    assert watch_drift(resources, now=NOW).verdict.verdict == "not_yet"
    append(resources, warmer(ride_rows(TRAINED_ON + 600, 200)), "warm too")
    report = watch_drift(resources, now=NOW)
    assert (report.champion_version, report.verdict.verdict) == (2, "no_drift")


def test_a_snapshot_that_was_deleted_says_so(resources: Resources, quick):
    append(resources, ride_rows(TRAINED_ON, 300), "new")
    for part in Path(resources.settings.lake_uri).glob("rides/snapshots/*/fitting.parquet"):
        part.unlink()
    with pytest.raises(NotInLake, match="Part 'fitting'"):
        watch_drift(resources, now=NOW)


def test_only_the_newest_reports_stay_on_disk(
    resources: Resources, quick, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(drift_files, "KEPT", 2)
    for i in range(4):
        append(resources, ride_rows(TRAINED_ON + 200 * i, 200), f"{i}")
        watch_drift(resources, now=NOW + i * HOUR)
    kept = sorted(p.name for p in (resources.settings.reports_dir / "rides").iterdir())
    assert kept == ["20260601T140000Z", "20260601T150000Z"]
