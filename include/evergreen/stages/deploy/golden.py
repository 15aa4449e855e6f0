"""What a version answers to its golden rows: as recorded, as recomputed, and as served."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from include.evergreen.model_code.predictor import columns_of_rows
from include.evergreen.stages.bundle import load_predictor
from include.evergreen.stages.deploy.service_probe import ServiceProbe

Rows = Sequence[Mapping[str, Any]]
Predictions = dict[str, list[Any]]
_OK = 200


def recorded(bundle: Path) -> tuple[list[dict[str, Any]], Predictions]:
    """The raw golden rows and what the estimator predicted when the bundle was written."""
    document = json.loads((bundle / "golden.json").read_bytes())
    return document["rows"], document["predictions"]


def recomputed(bundle: Path, manifest_digest: str, rows: Rows) -> Predictions:
    """What the registered artifact predicts here and now, by the code that travels in it.

    Raises:
        ArtifactRefused: the bundle is not what was recorded when it was made.
    """
    own = load_predictor(bundle, manifest_digest)
    answer = own.predict(own.parse(columns_of_rows(rows)))
    return {name: values.tolist() for name, values in answer.items()}


def served(probe: ServiceProbe, rows: Rows) -> Predictions:
    """What /invocations answers; {} if it does not answer in the scoring protocol's form."""
    status, answer = probe.post("/invocations", request_body(rows))
    predictions = answer.get("predictions") if isinstance(answer, dict) else None
    if status != _OK or not isinstance(predictions, list) or not predictions:
        return {}
    if isinstance(predictions[0], dict):
        return {name: [row.get(name) for row in predictions] for name in predictions[0]}
    return {"prediction": predictions}


def request_body(rows: Rows) -> bytes:
    """Rows in the scoring protocol's `dataframe_split` form."""
    columns = columns_of_rows(rows)
    lines = [list(values) for values in zip(*columns.values(), strict=True)]
    return json.dumps({"dataframe_split": {"columns": list(columns), "data": lines}}).encode()
