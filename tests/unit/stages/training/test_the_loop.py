"""Claim, freeze, tune, fit, judge and register, on real rides, MLflow, Optuna and Delta."""

import dataclasses
import datetime as dt
import shutil
import subprocess
import sys

import mlflow
import numpy as np
import polars as pl
import pytest

from include.evergreen.contracts import JournalAnchor, Score
from include.evergreen.errors import ArtifactRefused
from include.evergreen.policy.journal import verify
from include.evergreen.stages.bundle import columns_of, load_predictor
from include.evergreen.stages.training.fit import BUNDLE_PATH
from include.evergreen.stages.training.freeze import champion_of
from include.evergreen.stages.training.training_steps import training_folder

LATER = dt.datetime(2030, 3, 2, tzinfo=dt.UTC)


def rmse(predicted, actual) -> float:
    return float(np.sqrt(np.mean((np.asarray(predicted) - np.asarray(actual)) ** 2)))


def test_a_first_model_beats_the_mean_and_a_summer_model_beats_a_winter_one(bike, rides):
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    snapshot, fitted, word, first = bike.train()
    assert word.verdict == "won", word.reason
    assert word.champion is None
    assert word.challenger.value < 0.7 * word.baseline.value
    assert snapshot.rows["train"] + snapshot.rows["holdout"] == snapshot.rows["fitting"]
    assert first is not None
    assert first.version == 1
    assert first.refitted
    registry, ledger = bike.resources.registry, bike.resources.ledger
    assert registry.version_of("bike_demand", "challenger") == 1
    assert registry.version_of("bike_demand", "champion") is None
    assert ledger.pending_requests("bike_demand") == []
    assert ledger.training(snapshot.key).state == "registered"
    assert ledger.training(snapshot.key).mlflow_run_id == fitted.run_id
    made = registry.version_info("bike_demand", 1)
    assert "without the holdout" in made.tags["evergreen.refit"]
    judged, registered = ledger.journal("bike_demand")
    assert made.tags["evergreen.journal_2"] == registered.digest
    anchors = registry.journal_anchors("bike_demand")
    assert verify("bike_demand", [judged, registered], anchors).anchors == 2
    assert JournalAnchor(1, judged.digest, f"the MLflow run {fitted.run_id}") in anchors

    bike.crown(first)
    bike.ingest(rides("2011-04-01", "2011-11-01"))
    snapshot, fitted, word, second = bike.train()
    assert snapshot.champion_version == 1
    assert snapshot.holdout_from > "2011-04-01"
    assert word.verdict == "won", word.reason
    assert word.champion.n_rows == word.challenger.n_rows == snapshot.rows["holdout"]
    assert word.challenger.value < 0.9 * word.champion.value
    assert second.version == 2
    assert registry.version_of("bike_demand", "champion") == 1, "only deploy moves the champion"


def test_what_is_scored_is_the_registered_bundle_on_the_same_raw_rows(bike, rides, tmp_path):
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    bike.crown(bike.train()[3])
    bike.ingest(rides("2011-04-01", "2011-11-01"))
    snapshot, _, word, _ = bike.train()
    holdout = bike.resources.lake.get_part("bike_demand", snapshot.key, "holdout")
    bundle = bike.resources.registry.download_bundle("bike_demand", 1, tmp_path)
    champion = load_predictor(bundle, None)
    answer = champion.predict(columns_of(holdout, champion.contract))["prediction"]
    assert rmse(answer, holdout["cnt"]) == pytest.approx(word.champion.value, rel=1e-12)
    naive = bike.resources.lake.get_part("bike_demand", snapshot.key, "train")["cnt"].mean()
    assert rmse(np.full(holdout.height, naive), holdout["cnt"]) == pytest.approx(
        word.baseline.value
    )


def test_a_scorer_of_scikit_learn_tunes_judges_and_is_on_record(bike, rides):
    metric = "neg_median_absolute_error"
    bike.change(training={"metric": metric, "folds": 2})
    bike.change(gates={"floors": {"d2_absolute_error_score": 0.0}})
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    _, fitted, word, first = bike.train(trials=2)
    assert word.verdict == "won", word.reason
    assert word.challenger.metric == metric
    assert 0 > word.challenger.value > word.baseline.value
    assert fitted.tuning.validation_score < 0, "the study maximises a negated error"
    bike.crown(first)
    run = bike.resources.registry._client.get_run(fitted.run_id).data.metrics
    assert run[f"holdout_{metric}_challenger"] == pytest.approx(word.challenger.value)
    assert run["holdout_d2_absolute_error_score_challenger"] > 0
    bike.ingest(rides("2011-04-01", "2011-11-01"))
    *_, word, _ = bike.train(trials=2)
    assert word.verdict == "won", word.reason
    assert word.challenger.value > word.champion.value


def test_a_tie_keeps_the_champion(bike, rides):
    bike.change(training={"estimators": ["ridge"]}, retrain={"min_new_rows": 1})
    bike.ingest(rides("2011-01-01", "2011-11-01"))
    champion = bike.train(trials=1)[3]
    bike.crown(champion)
    bike.ingest(rides("2011-11-01", "2012-01-01"))
    snapshot = bike.freeze(bike.claim(trials=1))
    bike.tune(snapshot)
    fitted = bike.fit(snapshot)
    twin = training_folder(bike.resources, snapshot) / BUNDLE_PATH
    shutil.rmtree(twin)
    bundle = bike.resources.registry.download_bundle("bike_demand", 1, twin.with_name("fetched"))
    bundle.rename(twin)
    fitted = dataclasses.replace(fitted, manifest_digest=champion.manifest_digest)
    word = bike.judge(snapshot, fitted)
    assert word.verdict == "lost"
    assert word.reason.startswith("a tie with champion v1")
    assert bike.register(snapshot, fitted, word) is None
    assert bike.resources.registry.version_of("bike_demand", "challenger") == 1


def test_better_by_less_than_the_margin_is_lost_and_answers_those_who_asked(bike, rides):
    bike.change(training={"estimators": ["ridge"]}, retrain={"min_new_rows": 1})
    bike.change(gates={"min_improvement": 0.9})
    bike.ingest(rides("2011-01-01", "2011-11-01"))
    bike.crown(bike.train(trials=1)[3])
    bike.ingest(rides("2011-11-01", "2012-01-01"))
    _, fitted, word, candidate = bike.train(trials=1)
    assert word.verdict == "lost"
    assert candidate is None
    assert "than champion v1" in word.reason
    ledger = bike.resources.ledger
    assert ledger.pending_requests("bike_demand") == []
    assert ledger.latest_training("bike_demand", "lost").judgement == word
    run = bike.resources.registry._client.get_run(fitted.run_id)
    assert run.data.tags["evergreen.verdict"] == "lost"
    assert run.info.status == "FINISHED", "losing is a success with a reason"


def test_the_same_rows_spec_and_code_are_trained_once(bike, rides):
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    bike.train()
    bike.resources.ledger.request_retrain("bike_demand", "drift", "drift:1", {}, LATER)
    assert bike.freeze(bike.claim()) is None
    assert "trained already (registered)" in bike.last_reason()
    assert bike.resources.ledger.pending_requests("bike_demand") == []


def test_what_another_caller_told_mlflow_does_not_lead_a_training_astray(bike, rides, tmp_path):
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    mlflow.set_tracking_uri(elsewhere)
    try:
        bike.ingest(rides("2011-01-01", "2011-04-01"))
        assert bike.train()[3] is not None
        assert mlflow.get_tracking_uri() == elsewhere
    finally:
        mlflow.set_tracking_uri(None)


def test_force_trains_the_same_rows_again_and_the_judge_still_decides(bike, rides):
    bike.change(training={"estimators": ["ridge"]})
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    first = bike.train()[0]
    snapshot = bike.freeze(bike.claim(force=True))
    assert snapshot is not None
    assert snapshot.key != first.key


def test_a_retry_of_each_step_finds_what_the_first_try_made(bike, rides):
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    claimed = bike.claim()
    snapshot = bike.freeze(claimed)
    assert bike.freeze(claimed) == snapshot
    assert bike.tune(snapshot)["complete"] >= 1
    assert bike.tune(snapshot)["complete"] == 0, "the budget is spent"
    fitted = bike.fit(snapshot)
    assert bike.fit(snapshot).run_id == fitted.run_id
    shutil.rmtree(training_folder(bike.resources, snapshot))  # another machine judges
    word = bike.judge(snapshot, fitted)
    assert bike.judge(snapshot, fitted) == word
    candidate = bike.register(snapshot, fitted, word)
    assert bike.register(snapshot, fitted, word) == candidate
    assert candidate.version == 1


def test_a_version_registered_just_before_a_crash_is_taken_up(bike, rides, monkeypatch):
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    snapshot = bike.freeze(bike.claim())
    bike.tune(snapshot)
    fitted = bike.fit(snapshot)
    word = bike.judge(snapshot, fitted)

    def crash(*args, **kwargs):
        raise ConnectionError("gone")

    monkeypatch.setattr(type(bike.resources.ledger), "record_candidate", crash)
    with pytest.raises(ConnectionError):
        bike.register(snapshot, fitted, word)
    monkeypatch.undo()
    candidate = bike.register(snapshot, fitted, word)
    assert candidate.version == 1
    info = bike.resources.registry.version_info("bike_demand", 1)
    assert info.manifest_digest == candidate.manifest_digest


def test_the_run_holds_the_evidence(bike, rides):
    bike.change(gates={"modes": {"fairness": "off", "calibration": "warn"}})
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    snapshot, fitted, word, candidate = bike.train()
    client = bike.resources.registry._client
    run = client.get_run(fitted.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["evergreen.training_key"] == snapshot.key
    assert run.data.tags["evergreen.rows_digest"] == snapshot.rows_digest
    assert run.data.tags["evergreen.code_digest"] == snapshot.code_digest
    assert run.data.tags["evergreen.verdict"] == "won"
    told = {name: run.data.tags[f"evergreen.gate_{name}"] for name in ("champion", "baseline")}
    assert told == {"champion": "not_applicable (block)", "baseline": "passed (block)"}
    assert run.data.tags["evergreen.gate_fairness"] == "off (off)"
    judged = next(d for d in bike.resources.ledger.decisions("bike_demand") if d.stage == "judge")
    assert judged.details["gates"] | told == judged.details["gates"]
    version = bike.resources.registry.version_info("bike_demand", candidate.version)
    assert version.tags["evergreen.gates_off"] == "fairness (off), calibration (warn)"
    assert run.data.metrics["holdout_rmse_challenger"] == word.challenger.value
    assert run.inputs.dataset_inputs[0].dataset.digest == snapshot.rows_digest[:36]
    top = {item.path for item in client.list_artifacts(fitted.run_id)}
    assert top == {"challenger", "spec.yaml", "study", "judgement.json"}
    plots = {item.path for item in client.list_artifacts(fitted.run_id, "study")}
    assert "study/optimization_history.png" in plots
    assert "study/trials.json" in plots


def test_the_registered_version_is_loadable_by_stock_mlflow(bike, rides, tmp_path, project_root):
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    snapshot, *_ = bike.train()
    rows = bike.resources.lake.get_part("bike_demand", snapshot.key, "holdout").head(50)
    bundle = bike.resources.registry.download_bundle("bike_demand", 1, tmp_path)
    predictor = load_predictor(bundle, None)
    expected = predictor.predict(columns_of(rows, predictor.contract))["prediction"]
    asked = rows.select(list(predictor.contract["columns"]))
    asked.write_parquet(tmp_path / "asked.parquet")
    code = (
        "import sys, mlflow, pandas, numpy\n"
        f"assert not any(p.startswith({str(project_root)!r} + '/include') for p in sys.path)\n"
        f"mlflow.set_tracking_uri({bike.settings.mlflow_uri!r})\n"
        "model = mlflow.pyfunc.load_model('models:/bike_demand@challenger')\n"
        f"rows = pandas.read_parquet({str(tmp_path / 'asked.parquet')!r})\n"
        f"numpy.save({str(tmp_path / 'answer.npy')!r}, model.predict(rows))\n"
        "assert 'include' not in sys.modules\n"
        "schema = model.metadata.get_input_schema()\n"
        "print(sorted(schema.input_names()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == str(sorted(predictor.contract["columns"]))
    np.testing.assert_array_equal(np.load(tmp_path / "answer.npy"), expected)
    tracking_uri = mlflow.get_tracking_uri()
    assert bike.settings.mlflow_uri != tracking_uri, "ours leaks into nobody's state"


def test_a_champion_whose_files_were_changed_is_refused_and_judged_against_by_nobody(bike, rides):
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    candidate = bike.train()[3]
    bike.crown(candidate)
    bike.ingest(rides("2011-04-01", "2011-11-01"))
    snapshot = bike.freeze(bike.claim())
    bike.tune(snapshot)
    fitted = bike.fit(snapshot)
    found = list(bike.settings.home.glob("mlflow/artifacts/**/models/**/estimator.*"))
    assert len(found) == 1
    found[0].write_bytes(found[0].read_bytes() + b"\0")
    with pytest.raises(ArtifactRefused, match=r"estimator\.onnx"):
        bike.judge(snapshot, fitted)
    record = bike.resources.ledger.training(snapshot.key)
    assert record.state == "failed"
    assert record.judgement is None
    assert len(bike.resources.ledger.pending_requests("bike_demand")) == 1


def test_the_alias_of_a_deleted_version_is_no_champion(bike, rides):
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    bike.crown(bike.train()[3])
    client = bike.resources.registry._client
    client.delete_model_version("bike_demand", "1")
    assert champion_of(bike.resources) == (None, None), "the registry took the alias away"


def test_a_champion_that_came_meanwhile_is_never_judged_on_rows_it_has_seen(bike, rides):
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    bike.crown(bike.train()[3])
    bike.ingest(rides("2011-04-01", "2011-11-01"))
    snapshot, fitted, _, second = bike.train()
    bike.crown(second)
    late = dataclasses.replace(snapshot, key=snapshot.key)
    bike.resources.ledger.open_training(dataclasses.replace(late, key="f" * 64), "x", LATER)
    for part in ("train", "holdout", "fitting"):
        frame = bike.resources.lake.get_part("bike_demand", snapshot.key, part)
        bike.resources.lake.put_part("bike_demand", "f" * 64, part, frame)
    word = bike.judge(dataclasses.replace(late, key="f" * 64), fitted)
    assert word.verdict == "not_yet"
    assert "champion v2 came meanwhile and has seen" in word.reason


def test_electricity_learns_to_tell_whether_the_price_rises(electricity, prices):
    electricity.change(training={"estimators": ["hist_gradient_boosting", "logistic_regression"]})
    electricity.ingest(prices(0, 9000))
    snapshot, _, word, candidate = electricity.train()
    assert word.verdict == "won", word.reason
    assert word.baseline == Score("roc_auc", 0.5, snapshot.rows["holdout"])
    assert word.challenger.value > 0.6
    tags = electricity.resources.registry.version_info("electricity", candidate.version).tags
    assert tags["evergreen.recipe"].startswith('{"estimator": ')


def test_a_model_without_a_time_column_is_held_out_by_key(bike, rides):
    document = bike.spec.model_dump(mode="json", exclude_unset=True)
    document["data"].pop("time")
    document["data"].pop("time_zone")
    document["training"]["holdout"] = {"share": 0.25, "min_rows": 100}
    document["monitoring"]["ignore"] = []
    bike.spec = type(bike.spec).model_validate(document)
    bike._resources = None
    bike.ingest(rides("2011-01-01", "2011-04-01").drop("dteday"))
    snapshot, _, word, candidate = bike.train()
    assert word.verdict == "won", word.reason
    total = snapshot.rows["fitting"]
    assert snapshot.rows["holdout"] == -(-total // 4)
    bike.crown(candidate)
    bike.ingest(rides("2011-04-01", "2011-11-01").drop("dteday"))
    second, *_ = bike.train()
    holdout = bike.resources.lake.get_part("bike_demand", second.key, "holdout")
    assert holdout["_batch"].min() > int(snapshot.seen_until), "all came after the champion's"
    fresh = second.rows["fitting"] - total
    assert second.rows["holdout"] == fresh // 2


@pytest.mark.parametrize("kind", ["rows", "labels"])
def test_late_labels_join_by_key(bike, rides, kind):
    bike.change(data={"labels": {"landing": "labels/bike_demand", "key": "ride"}})
    frame = rides("2011-01-01", "2011-04-01")
    bike.ingest(frame.with_columns(pl.lit(None, pl.Int64).alias("cnt")))
    assert bike.claim() is None, "rows without labels train nothing"
    if kind == "rows":
        return
    late = frame.select(pl.col("instant").alias("ride"), "cnt").with_columns(
        pl.lit("l").alias("_file_digest"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("_row_number"),
    )
    bike.resources.lake.append_rows("bike_demand", "labels", [late], transaction="labels")
    snapshot = bike.freeze(bike.claim())
    assert snapshot.rows["fitting"] == frame.height
