"""Writes a model's bundle: the directory that training, MLflow and the container all read.

A bundle holds the estimator, the code that prepares and checks rows, the contract, golden rows
with their offline predictions, and a manifest with the sha256 of each. Whoever has the digest of
the manifest can tell whether any of it was changed.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import skops.io

from include.evergreen import model_code
from include.evergreen.errors import ArtifactRefused
from include.evergreen.model_code import features, predictor, row_contract
from include.evergreen.model_code.plan import Encoding
from include.evergreen.spec import Column, ModelSpec

CODE_DIRECTORY = Path(model_code.__file__).parent
#: The files of `model_code` that travel with a model.
TRAVELLING = ("features.py", "one_row.py", "predictor.py", "row_contract.py")
#: The largest relative difference between the estimator and the bundle made of it.
PARITY = 1e-9
#: What the versions of are recorded: of the fit, and of what runs the estimator.
FITTED_WITH = ("numpy", "scikit-learn", "scipy")
RUN_BY = {predictor.ONNX: ("onnxruntime",), predictor.SKOPS: ("skops",)}


def write_bundle(
    directory: Path,
    *,
    spec: ModelSpec,
    estimator: Any,
    encoding: Encoding,
    plan: features.Plan,
    training_key: str,
    golden: Sequence[Mapping[str, Any]],
    builder_path: Path | None = None,
    builder_module: str | None = None,
    classes: Sequence[Any] | None = None,
    onnx: bytes | None = None,
    format_reason: str = "",
) -> str:
    """Write a bundle into an empty or absent directory; its manifest's sha256 (hex).

    Args:
        directory: where to; anything in it that is no part of the bundle is refused.
        spec: the model's spec.
        estimator: fitted on the float32 matrix of `plan`; a classifier has `predict_proba`.
        encoding: what the plan was made for; recorded.
        plan: the feature plan.
        training_key: which training made it.
        golden: raw rows as they arrive in a request; their predictions are recorded with them.
        builder_path: source of the user's builder, where one built the estimator.
        builder_module: its dotted name, such as `include.models.rides`.
        classes: the labels in the order of the probabilities; None takes `estimator.classes_`.
        onnx: the estimator as a graph that was found to be the same; None keeps scikit-learn's own
            in skops' format.
        format_reason: why it is the one or the other; recorded.

    Raises:
        ArtifactRefused: the estimator holds types that may not be served, a golden row breaks
            the contract, or the bundle does not predict as the estimator does.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name in TRAVELLING:
        shutil.copyfile(CODE_DIRECTORY / name, directory / name)
    contract = contract_of(spec)
    _write_json(directory / "contract.json", contract)
    _write_json(directory / "feature_plan.json", plan)
    if builder_path is not None:
        shutil.copyfile(builder_path, directory / predictor.BUILDER)
    labels = None if spec.task == "regression" else _labels(spec, estimator, classes)
    kept = predictor.SKOPS if onnx is None else predictor.ONNX
    content = skops.io.dumps(estimator) if onnx is None else onnx
    (directory / kept).write_bytes(content)
    manifest = {
        "format": predictor.FORMAT,
        "model": spec.model,
        "task": spec.task,
        "training_key": training_key,
        "encoding": encoding,
        "estimator": kept,
        "estimator_reason": format_reason,
        "classes": labels,
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in (*FITTED_WITH, *RUN_BY[kept])},
        "builder_module": builder_module if builder_path is not None else None,
        "trusted_types": (
            sorted(skops.io.get_untrusted_types(data=content)) if onnx is None else []
        ),
    }
    served = estimator if onnx is None else predictor.OnnxEstimator(onnx)
    golden_json = _golden(contract, plan, labels, golden, served)
    _write_json(directory / "golden.json", golden_json)
    return _finish(directory, manifest)


def contract_of(spec: ModelSpec) -> dict[str, Any]:
    """The raw columns a request must have, those it may have, and what each may hold."""
    data = spec.data
    columns = {name: _column(column) for name, column in spec.feature_columns.items()}
    optional: dict[str, Any] = {}
    if data.time is not None:
        time = _column(data.columns.get(data.time) or Column(type="timestamp"))
        (columns if spec.features.calendar else optional)[data.time] = time
    if data.key is not None and data.key not in columns and data.key not in optional:
        optional[data.key] = {"type": "key", "nullable": True}
    return {
        "format": 1,
        "model": spec.model,
        "task": spec.task,
        "target": data.target,
        "time": data.time,
        "time_zone": data.time_zone,
        "key": data.key,
        "columns": columns,
        "optional": optional,
    }


def columns_of(frame: pl.DataFrame, contract: Mapping[str, Any]) -> dict[str, Any]:
    """The typed columns of rows from the lake, as `Predictor.parse` gives them for a request."""
    named = {**contract["columns"], **contract["optional"]}
    return {
        name: _typed(frame[name], column["type"])
        for name, column in named.items()
        if name in contract["columns"] or name in frame.columns
    }


def raw_rows(frame: pl.DataFrame, contract: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows from the lake as the JSON records a client would send (golden rows, examples)."""
    return [
        {name: _raw(value) for name, value in row.items()}
        for row in frame.select(list(contract["columns"])).iter_rows(named=True)
    ]


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest as it stands in the bundle; nothing is checked."""
    manifest: dict[str, Any] = json.loads((directory / predictor.MANIFEST).read_bytes())
    return manifest


def load_predictor(directory: Path, manifest_digest: str | None) -> predictor.Predictor:
    """The predictor of a bundle, run by the code that travels in it.

    Raises:
        ArtifactRefused: the bundle is not what was recorded when it was made.
    """
    try:
        _, _, files = predictor.read_checked(directory, manifest_digest)
        own = predictor.module_from_source(files["predictor.py"], "predictor")
    except predictor.BundleRefused as error:
        raise ArtifactRefused(str(error)) from error
    try:
        loaded: predictor.Predictor = own.Predictor.load(directory, manifest_digest)
    except own.BundleRefused as error:
        raise ArtifactRefused(str(error)) from error
    return loaded


def model_code_digest() -> str:
    """Sha256 (hex) over the code that prepares rows and predicts: part of a training's key."""
    digest = hashlib.sha256()
    for path in sorted(CODE_DIRECTORY.glob("*.py")):
        digest.update(f"{path.name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _column(column: Column) -> dict[str, Any]:
    return {
        "type": column.type,
        "min": column.min,
        "max": column.max,
        "values": None if column.values is None else list(column.values),
        "unseen": column.unseen,
        "nullable": column.max_null_share > 0,
    }


def _typed(series: pl.Series, kind: str) -> Any:
    if kind == "timestamp":
        return series.cast(pl.Datetime("us", "UTC")).to_physical().to_numpy().view("datetime64[us]")
    if kind in ("category", "key"):
        return series.to_list()
    return series.cast(pl.Float64).to_numpy()


def _raw(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value


def _labels(spec: ModelSpec, estimator: Any, classes: Sequence[Any] | None) -> list[Any]:
    if not hasattr(estimator, "predict_proba"):
        raise ArtifactRefused(
            f"{type(estimator).__name__} has no predict_proba: a {spec.task} model answers with "
            "probabilities. Use an estimator that has it, or wrap it in CalibratedClassifierCV."
        )
    labels = np.asarray(estimator.classes_).tolist() if classes is None else list(classes)
    if len(labels) != len(estimator.classes_):
        raise ArtifactRefused(
            f"{len(labels)} classes were given, and the estimator was fitted on "
            f"{len(estimator.classes_)}."
        )
    return labels


def _golden(
    contract: Mapping[str, Any],
    plan: features.Plan,
    classes: Sequence[Any] | None,
    rows: Sequence[Mapping[str, Any]],
    estimator: Any,
) -> dict[str, Any]:
    """The golden rows as JSON and what the estimator predicts of them, before it is written."""
    if not rows:
        raise ArtifactRefused("There are no golden rows: nothing could prove what the bundle does.")
    raw = [{name: _raw(value) for name, value in row.items()} for row in rows]
    checked = row_contract.RowContract(contract, features.LocalTimes(plan["time"]))
    try:
        columns = checked.parse(predictor.columns_of_rows(raw))
    except row_contract.InvalidRows as error:
        raise ArtifactRefused(f"The golden rows break the contract: {error}") from error
    expected = predictor.predictions(estimator, features.transform(columns, plan), classes)
    return {"rows": raw, "predictions": {name: v.tolist() for name, v in expected.items()}}


def _finish(directory: Path, manifest: dict[str, Any]) -> str:
    """Write the manifest with every file's digest, and prove that the bundle loads and agrees."""
    paths = sorted(path for path in directory.iterdir() if path.name != predictor.MANIFEST)
    manifest["files"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    _write_json(directory / predictor.MANIFEST, manifest)
    digest = hashlib.sha256((directory / predictor.MANIFEST).read_bytes()).hexdigest()
    difference = load_predictor(directory, digest).golden_difference()
    if not difference <= PARITY:
        raise ArtifactRefused(
            f"{manifest['model']}: the bundle's predictions differ from the estimator's by "
            f"{difference:g} (relative); at most {PARITY:g} is allowed. Nothing was registered."
        )
    return digest


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=False, allow_nan=False) + "\n")
