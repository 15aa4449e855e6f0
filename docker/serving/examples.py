"""Example requests of golden rows, and what the model answered to them at training."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from open_inference import output_datatypes
from tensors import datatypes

Rows = Sequence[Mapping[str, Any]]
EXAMPLE_ROWS = 2


def shown(predictor: Any, private: Collection[str]) -> dict[str, Any]:
    """The first golden rows and their predictions, as `golden.json` has them.

    Private columns hold a value that the contract allows instead of a customer's, and what is
    predicted then is shown.
    """
    golden: dict[str, Any] = predictor.golden
    if not private:
        return golden
    columns = {**predictor.contract["columns"], **predictor.contract["optional"]}
    rows = [
        {
            name: _anybodys(columns[name]) if name in private else value
            for name, value in row.items()
        }
        for row in golden["rows"][:EXAMPLE_ROWS]
    ]
    raw = {name: [row.get(name) for row in rows] for row in rows for name in row}
    answer = predictor.predict(predictor.parse(raw))
    return {"rows": rows, "predictions": {name: v.tolist() for name, v in answer.items()}}


def _anybodys(column: Mapping[str, Any]) -> Any:
    """Some value of a column: none where that is allowed."""
    if column["nullable"]:
        return None
    if column["type"] in ("float", "integer"):
        low = -math.inf if column["min"] is None else column["min"]
        high = math.inf if column["max"] is None else column["max"]
        return min(max(0, low), high)
    if column["type"] == "boolean":
        return False
    return column["values"][0] if column["values"] else "a text"


def forms(rows: Rows, contract: Mapping[str, Any]) -> dict[str, Any]:
    """The same rows in each form of MLflow's protocol."""
    names = list(contract["columns"])
    lists = [[row[name] for name in names] for row in rows]
    return {
        "dataframe_records": {"dataframe_records": list(rows)},
        "dataframe_split": {"dataframe_split": {"columns": names, "data": lists}},
        "instances": {"instances": lists},
        "inputs": {"inputs": {name: [row[name] for row in rows] for name in names}},
    }


def csv_text(rows: Rows) -> str:
    """The rows as CSV with a header; a missing value is empty."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def inference(rows: Rows, contract: Mapping[str, Any]) -> dict[str, Any]:
    """The rows as a request of the Open Inference Protocol."""
    tensors = []
    for name, column in contract["columns"].items():
        kind = datatypes(column)[0]
        values = [_whole(row[name]) if kind == "INT64" else row[name] for row in rows]
        tensors.append({"name": name, "shape": [len(rows)], "datatype": kind, "data": values})
    return {"inputs": tensors}


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) else value


def prediction_answer(golden: Mapping[str, Any]) -> dict[str, Any]:
    """What `/invocations` answers to the first golden rows."""
    answered = {name: values[:EXAMPLE_ROWS] for name, values in golden["predictions"].items()}
    if len(answered) == 1:
        return {"predictions": answered["prediction"]}
    rows = zip(*answered.values(), strict=True)
    return {"predictions": [dict(zip(answered, row, strict=True)) for row in rows]}


def inference_outcome(
    golden: Mapping[str, Any], name: str, version: str, classes: Sequence[Any] | None
) -> dict[str, Any]:
    """What `/infer` answers to the first golden rows."""
    outputs = []
    for output, kind in output_datatypes(classes).items():
        values = golden["predictions"][output][:EXAMPLE_ROWS]
        outputs.append({"name": output, "datatype": kind, "shape": [len(values)], "data": values})
    return {"model_name": name, "model_version": version, "outputs": outputs}
