"""Two judged trainings of real rides, made once: a first model that won, a second that lost."""

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.spec import load_spec
from tests.unit.stages.training.conftest import MODELS, Loop, quick

#: As the gates leave it, and worse: what is not a number, a name that is a tag, a stranger.
EVIL = '<script>alert("x")</script>|`*'


class Judged:
    """A home with both, and what each step handed on."""

    def __init__(self, loop: Loop, won: tuple, lost: tuple) -> None:
        self.loop, self.won, self.lost = loop, won, lost
        self.resources = loop.resources


@pytest.fixture(scope="module")
def judged(tmp_path_factory, empty_mlflow, rides) -> Judged:
    home = tmp_path_factory.mktemp("cards") / "home"
    (home / "mlflow").mkdir(parents=True)
    (home / "mlflow" / "mlflow.db").write_bytes(empty_mlflow.read_bytes())
    spec = quick(load_spec(MODELS / "bike_demand.yaml"), estimators=["ridge"])
    loop = Loop(spec, evergreen_settings.load({"EVERGREEN_HOME": str(home)}))
    loop.change(
        retrain={"min_new_rows": 1},
        gates={"min_improvement": 0.9, "modes": {"latency": "off", "size": "warn"}},
    )
    loop.ingest(rides("2011-01-01", "2011-04-01"))
    won = loop.train(trials=1)
    loop.crown(won[3])
    loop.ingest(rides("2011-04-01", "2011-06-01"))
    return Judged(loop, won, loop.train(trials=1))


@pytest.fixture
def card() -> dict:
    return small_card()


def small_card() -> dict:
    """A small card by hand: every section, and evidence of every kind of gate."""
    held = {"kind": "histogram", "edges": [0.0, 1.0, 2.0], "train": [0.25, 0.75]}
    held |= {"holdout": [0.5, 0.5], "median": {"train": 1.0, "holdout": 1.0}}
    column = {
        "name": "hours",
        "type": "float",
        "min": 0.0,
        "max": 2.0,
        "values": None,
        "max_null_share": 0.05,
        "missing": {"train": 0.0, "holdout": 0.02},
        "held": held,
    }
    colours = {"kind": "values", "values": ["red", EVIL], "others": 0, "train": [0.9, 0.1]}
    colours |= {"holdout": [0.8, 0.2]}
    category = column | {"name": EVIL, "type": "category", "values": ["red", EVIL], "held": colours}
    figure = {"value": 0.91, "low": 0.9, "high": 0.92}
    digest = "ab" * 32
    return {
        "format": 1,
        "model": {
            "name": "wine",
            "description": f"Grades {EVIL}",
            "owner": "cellar",
            "task": "binary",
            "target": "good",
            "metric": "roc_auc",
            "greater_is_better": True,
        },
        "version": 3,
        "judgement": {
            "verdict": "won",
            "reason": f"12% better {EVIL}",
            "challenger": {"metric": "roc_auc", "value": 0.91, "n_rows": 400},
            "champion": {"metric": "roc_auc", "value": 0.8, "n_rows": 400},
            "champion_version": 2,
            "baseline": {"metric": "roc_auc", "value": 0.5, "n_rows": 400},
            "required_improvement": 0.01,
            "improvement": 0.1375,
        },
        "served": {"refitted": True, "words": "Version 3 is the same recipe refitted."},
        "data": {
            "rows": {"train": 1600, "holdout": 400, "fitting": 2000},
            "rows_digest": digest,
            "data_version": 7,
            "labels_version": None,
            "seen_from": "2026-01-01T00:00:00",
            "seen_until": "2026-03-01T00:00:00",
            "holdout_from": "2026-02-15T00:00:00",
            "time": "at",
            "key": "id",
            "format": "csv",
            "late_labels": False,
            "contract_digest": digest,
            "target": column | {"name": "good"},
            "columns": [column, category],
            "not_shown": [],
        },
        "recipe": {
            "estimator": "hist_gradient_boosting",
            "params": {"learning_rate": 0.1},
            "features": {},
            "validation_score": 0.9,
            "trials": {"complete": 10, "pruned": 2, "failed": 0},
            "seconds": 4.2,
            "folds": 3,
            "seed": 7,
            "served_as": "estimator.onnx",
            "served_because": "",
            "python": "3.11.9",
            "libraries": {"numpy": "2.0"},
        },
        "metrics": {
            "confidence": 0.95,
            "rows": [
                {
                    "metric": "roc_auc",
                    "greater_is_better": True,
                    "decides": True,
                    "challenger": figure,
                    "champion": figure | {"value": 0.8, "low": 0.78, "high": 0.82},
                    "baseline": {"value": 0.5, "low": None, "high": None},
                }
            ],
        },
        "answers": {
            "kind": "classification",
            "table": {"classes": ["no", "yes"], "counts": [[311, 9], [23, 57]]},
            "shares": {
                "of": "yes",
                "classes": [{"name": "no", "counts": [9, 1]}, {"name": "yes", "counts": [2, 8]}],
            },
        },
        "explanation": {
            "computed": True,
            "of": "the probability of yes",
            "classes": 1,
            "unit": "probability",
            "rows": 40,
            "rows_learned": 20,
            "background": 24,
            "evaluations": 4000,
            "base": 0.25,
            "columns": 2,
            "importances": [
                {"column": "hours", "mean_abs": 0.4321},
                {"column": EVIL, "mean_abs": 0.012},
            ],
            "dependence": [
                {
                    "column": "hours",
                    "kind": "numbers",
                    "points": {"train": [[0.5, -0.1], [1.5, 0.2]], "holdout": [[1.0, 0.05]]},
                    "missing": {"rows": 2, "mean": 0.01},
                },
                {
                    "column": EVIL,
                    "kind": "groups",
                    "groups": [
                        {"value": EVIL, "rows": 3, "mean": 0.01, "low": -0.01, "high": 0.02}
                    ],
                },
            ],
        },
        "gates": [
            gate("champion", evidence=CHAMPION),
            gate("slices", "failed", seen=f"1 of 2 slices worse {EVIL}", evidence=SLICES),
            gate("fairness", "failed", "warn", evidence=FAIRNESS),
            gate("calibration", evidence=CALIBRATION),
            gate("leakage", evidence=LEAKAGE),
            gate("stability", "passed", evidence=STABILITY),
            gate("behaviour", "passed", evidence=BEHAVIOUR),
            gate("overfitting", "not_applicable", seen="nothing was learned from"),
            gate("size", "passed", "warn", evidence={"size_mib": 1.5, "parts": {"graph": 1.25}}),
            gate("latency", "off", "off", seen="not computed"),
        ],
        "lineage": {
            "training_key": digest,
            "rows_digest": digest,
            "spec_digest": digest,
            "code_digest": digest,
            "data_version": 7,
            "labels_version": None,
            "judged_bundle": digest,
            "registered_bundle": digest,
            "champion_version": 2,
            "run_id": "run1",
            "run_url": "http://mlflow/#/experiments/1/runs/run1",
            "opened_at": "2026-03-02T08:00:00+00:00",
            "opened_by": "run-7",
            "reason": "drift",
            "asked_by": [
                {
                    "id": 4,
                    "reason": "drift",
                    "cause": "drift:v2",
                    "at": "2026-03-02T07:59:00+00:00",
                    "details": {"columns": ["hours"]},
                }
            ],
        },
        "decisions": [],
    }


def gate(name, verdict="passed", mode="block", seen="as it must be", evidence=None) -> dict:
    return {
        "name": name,
        "mode": mode,
        "verdict": verdict,
        "seen": seen,
        "required": "what the spec says",
        "evidence": evidence or {},
    }


CHAMPION = {
    "metric": "roc_auc",
    "improvement": 0.1375,
    "min_improvement": 0.01,
    "interval": [0.0912, 0.1844],
    "better_share": 1.0,
}
SLICES = {
    "slices": [
        {"name": EVIL, "rows": 90, "challenger": 0.7311, "champion": 0.8122, "verdict": "failed"},
        {"name": "hours 0 to 1", "rows": 80, "challenger": 0.95, "champion": 0.9, "loss": None},
    ]
}
FAIRNESS = {
    "metric": "roc_auc",
    "overall": 0.91,
    "columns": [
        {
            "column": "sex",
            "demographic_parity_difference": 0.41,
            "groups": [
                {"name": "a", "rows": 200, "metric": 0.9133, "selection_rate": 0.6166},
                {"name": EVIL, "rows": 200, "metric": None, "selection_rate": 0.2},
            ],
        }
    ],
}
CALIBRATION = {
    "error": 0.02,
    "of": "yes",
    "curve": [
        {"predicted": 0.1, "observed": 0.12, "rows": 300},
        {"predicted": 0.8, "observed": 0.7654, "rows": 100},
    ],
}
STABILITY = {"touched": [{"what": "noise", "error": 0.21, "loss": 0.0517}], "max_loss": 0.2}
BEHAVIOUR = {"expectations": [{"name": EVIL, "column": "hours", "share": 0.0233, "rows": 400}]}
LEAKAGE = {
    "skill": 0.4,
    "importances": [{"column": "hours", "error": 0.2, "lost": 0.3377}],
    "alone": {"hours": 0.5},
}
