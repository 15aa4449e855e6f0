"""The saboteurs of the container's side: how each was made bad, and which checks stop it."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import polars as pl

from include.evergreen.spec import ModelSpec
from tests.containers import conftest as containers
from tests.sabotage.container_side import Bundle, Saboteur, forge

honest_bundle, honest_rows = containers.write_bundle, containers.rows


def other_contract(folder: Path, spec: ModelSpec, seed: int, key: str) -> str:
    document = spec.model_dump(mode="json")
    document["data"]["columns"]["temperature"]["max"] = 40.0
    return honest_bundle(folder, ModelSpec.model_validate(document), seed, key)


def other_model(folder: Path, spec: ModelSpec, seed: int, key: str) -> str:
    return honest_bundle(folder, spec.model_copy(update={"model": "scooters"}), seed, key)


def other_data(folder: Path, spec: ModelSpec, seed: int, key: str) -> str:
    """Learned where people ride the less the warmer it is."""

    def heaters(seed: int) -> pl.DataFrame:
        return honest_rows(seed).with_columns(pl.col("count").max() - pl.col("count"))

    with mock.patch.object(containers, "rows", heaters):
        return honest_bundle(folder, spec, seed, key)


def golden_off_by(share: float) -> Bundle:
    def bundle(folder: Path, spec: ModelSpec, seed: int, key: str) -> str:
        honest_bundle(folder, spec, seed, key)
        path = folder / "golden.json"
        golden = json.loads(path.read_bytes())
        recorded = golden["predictions"]["prediction"]
        golden["predictions"]["prediction"] = [value * (1 + share) for value in recorded]
        path.write_text(json.dumps(golden))
        return forge(folder)

    return bundle


def pickle_inside(folder: Path, spec: ModelSpec, seed: int, key: str) -> str:
    honest_bundle(folder, spec, seed, key)
    (folder / "estimator.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    return forge(folder)


NOT_HEALTHY = (
    "answering(lambda path, status, content: (503 if path == '/health' else status, content))"
)
OTHER_NAME = """
def other(path, status, content):
    if path != "/version":
        return status, content
    return status, json.dumps(json.loads(content) | {"manifest_digest": "0" * 64}).encode()
answering(other)
"""
ANY_ANSWER = """
answering(lambda path, status, content:
    (200, b'{"predictions": [1.0]}') if 400 <= status < 500 else (status, content))
"""
FROM_A_TABLE = """
import pages
honest.GOLDEN_TOLERANCE = pages.GOLDEN_TOLERANCE = 1.0
with open(os.environ["EVERGREEN_BUNDLE"] + "/golden.json") as file:
    recorded = json.load(file)["predictions"]["prediction"]
predicting(lambda seen: recorded if len(seen) == len(recorded) else seen)
"""
FAILS_UNDER_LOAD = """
asked = 0
def fail(path, status, content):
    global asked
    if path != "/invocations" or status != 200 or len(json.loads(content)["predictions"]) > 1:
        return status, content
    asked += 1
    return (500 if asked % 10 == 0 else 200), content
answering(fail)
"""
SLOW = """
asked = 0
def slow(path, status, content):
    global asked
    asked += path == "/invocations"
    if path == "/invocations" and asked > 12 and asked % {every} == 0:
        time.sleep({seconds})
    return status, content
answering(slow)
"""
TIGHT = {"service_levels": {"p99_ms": 60, "load_seconds": 1.0}}
OLD_VERSION = """
import glob, hashlib
old = glob.glob(os.path.dirname(os.environ["EVERGREEN_BUNDLE"]) + "/../v1-*/bundle")[0]
digest = hashlib.sha256(open(old + "/manifest.json", "rb").read()).hexdigest()
claimed = os.environ["EVERGREEN_MANIFEST_DIGEST"]
os.environ.update(EVERGREEN_BUNDLE=old, EVERGREEN_MANIFEST_DIGEST=digest)
"""
OLD_IN_DISGUISE = """
answering(lambda path, status, content:
    (status, content.replace(digest.encode(), claimed.encode())))
"""

SABOTEURS = [
    Saboteur("crashes on start", ("healthy",), "raise SystemExit('not today')", seen="it ended",
             listens=False),
    Saboteur("hangs on start", ("healthy",), "time.sleep(600)",
             deployment={"start_timeout_s": 1.0}, seen="no answer after", listens=False),
    Saboteur("never gets healthy", ("healthy",), NOT_HEALTHY,
             deployment={"start_timeout_s": 1.0}, seen="no answer after 1."),
    Saboteur("claims to be another build", ("identity",), OTHER_NAME, seen="0000"),
    Saboteur("replays the version before", ("identity", "golden_rows", "registered_artifact"),
             OLD_VERSION),
    Saboteur("replays it in disguise", ("golden_rows", "registered_artifact"),
             OLD_VERSION + OLD_IN_DISGUISE, seen="largest difference"),
    Saboteur("has another contract", ("signature",), bundle=other_contract,
             seen="columns.temperature.max is 40.0, the spec says 60.0"),
    Saboteur("is another model", ("signature",), bundle=other_model,
             seen='model is "scooters", the spec says "rides"'),
    Saboteur("records what it does not predict", ("golden_rows",), bundle=golden_off_by(5e-5),
             seen="largest difference 5e-05 on 20 rows"),
    Saboteur("answers its golden rows from a table", ("registered_artifact",), FROM_A_TABLE,
             bundle=golden_off_by(0.1), seen="largest difference 0.1 on 20 rows"),
    Saboteur("predicts differently", ("golden_rows", "registered_artifact"),
             "predicting(lambda seen: [value * 1.001 for value in seen])",
             seen="largest difference 0.001 on 20 rows"),
    Saboteur("answers NaN", ("golden_rows", "registered_artifact", "acceptance"),
             "predicting(lambda seen: [float('nan')] * len(seen))", seen="largest difference inf"),
    Saboteur("accepts malformed requests", ("malformed_requests",), ANY_ANSWER,
             seen="broken JSON: 200, no protocol key: 200"),
    Saboteur("fails under load", ("load_failures",), FAILS_UNDER_LOAD, seen="requests failed"),
    Saboteur("is ten times over its p99", ("load_p99",), SLOW.format(every=10, seconds=0.6),
             deployment=TIGHT, seen="in round 2"),
    Saboteur("answers too few", ("load_rate",), SLOW.format(every=1, seconds=0.35),
             deployment={"service_levels": {"min_requests_per_s": 5, "load_seconds": 1.2}},
             seen="in round 2"),
    Saboteur("learned from another's data", ("acceptance",), bundle=other_data,
             seen="0 of 2 as expected; 'a cold day is quiet'"),
]  # fmt: skip
BY_NAME = {saboteur.name: saboteur for saboteur in SABOTEURS}
