"""Loads a model's bundle only if every file is what was recorded, and predicts with it.

A copy of this file travels in every bundle: the container, stock MLflow and the stages run the
very same code. It imports the standard library and numpy only; what runs the estimator (ONNX
Runtime, or scikit-learn and skops) is imported by `load`, after every digest was checked. Nothing
is unpickled, and no file is read twice, so what was checked is what is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import stat
import sys
import types
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

FORMAT = 1
MANIFEST = "manifest.json"
REQUIRED = (
    "contract.json", "feature_plan.json", "features.py", "golden.json", "predictor.py",
    "row_contract.py",
)  # fmt: skip
BUILDER = "builder.py"
#: Not in bundles of an earlier release.
ONE_ROW = "one_row.py"
ONNX, SKOPS = "estimator.onnx", "estimator.skops"
ESTIMATORS = (ONNX, SKOPS)
MAX_FILE_BYTES = 2 * 2**30
#: By how much, relative to the largest, one row alone may differ from itself among others.
ROUNDING = 1e-6
#: As many rows are worth a second thread.
MANY_ROWS = 200
MOST_THREADS = 8
#: Where a type of the estimator may come from; the bundle's own builder is the one addition.
TRUSTED_PACKAGES = ("sklearn", "numpy", "scipy")
#: It calls only what is itself a type on the list; categories of HistGradientBoosting need it.
TRUSTED_NAMES = frozenset({"functools.partial"})
#: Parts of those packages that run what they are given and that no fitted model needs.
DISTRUSTED_PARTS = frozenset({"testing", "tests", "f2py", "datasets", "ctypeslib", "distutils"})


class BundleRefused(ValueError):
    """The bundle is not what was recorded when it was made, or holds what may not be loaded."""


class Estimator(Protocol):
    """What predicts: an ONNX graph or a scikit-learn estimator."""

    def predict(self, matrix: Any) -> Any:
        """One value a row of a [n_rows, n_features] float32 matrix."""

    def predict_proba(self, matrix: Any) -> Any:
        """[n_rows, n_classes] probabilities, in the order of the manifest's classes."""


class Predictor:
    """One model, ready: `parse` checks raw values, `predict` answers. Safe to share by threads."""

    def __init__(
        self, manifest: Mapping[str, Any], digest: str, files: Mapping[str, bytes]
    ) -> None:
        self.info: dict[str, Any] = {**manifest, "manifest_digest": digest}
        self.task = str(manifest["task"])
        self.classes: list[Any] | None = manifest["classes"]
        self.contract: dict[str, Any] = json.loads(files["contract.json"])
        self.golden: dict[str, Any] = json.loads(files["golden.json"])
        self.plan: dict[str, Any] = json.loads(files["feature_plan.json"])
        rows = module_from_source(files["row_contract.py"], "row_contract")
        features = module_from_source(files["features.py"], "features")
        self.InvalidRows: type[ValueError] = rows.InvalidRows
        times = features.LocalTimes(self.plan["time"])
        self._rows = rows.RowContract(self.contract, times)
        self._features = features.Features(self.plan)
        self._one: Any = None
        if ONE_ROW in files:
            one = module_from_source(files[ONE_ROW], "one_row")
            self._one = one.OneRow(self.contract, self.plan, times, features.PERIODS)
        self._estimator = _load_estimator(manifest, files)

    @classmethod
    def load(cls, directory: str | Path, manifest_digest: str | None = None) -> Predictor:
        """The predictor of a bundle, once all its files were found to be those recorded.

        Args:
            directory: the bundle's folder.
            manifest_digest: sha256 of its manifest as the ledger has it. None takes the manifest
                at its word: only where the folder itself is trusted.

        Raises:
            BundleRefused: a digest differs, a file is unknown, missing, too large or no regular
                file, or the estimator holds a type that may not be loaded.
        """
        manifest, digest, files = read_checked(Path(directory), manifest_digest)
        return cls(manifest, digest, files)

    def parse(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Typed columns of raw JSON values; `self.InvalidRows`, with `.problems`, if any is bad."""
        parsed: dict[str, Any] = self._rows.parse(columns)
        return parsed

    def matrix(self, columns: Mapping[str, Any]) -> Any:
        """What the estimator sees of these typed columns: [n_rows, n_features] float32."""
        return self._features.transform(columns)

    def predict(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Predictions of typed columns, as arrays by name.

        Returns:
            Regression: `prediction`, float64. Classification: `prediction`, the labels in their
            own type, and `probability_<class>`, float64, for each class.
        """
        return predictions(self._estimator, self.matrix(columns), self.classes)

    def predict_one(self, raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The typed values and the predictions of one raw row, exactly as among others.

        Many times faster than `parse` and `predict` for a row alone, and it never says what is
        wrong: it is None for a row that is not plainly right, which `parse` then has to judge.
        """
        typed = None if self._one is None else self._one.typed(raw)
        if typed is None:
            return None
        matrix = self._one.matrix(typed)
        if self.classes is None:
            return typed, {"prediction": float(self._estimator.predict(matrix)[0])}
        shares = self._estimator.predict_proba(matrix)[0].tolist()
        answer = {"prediction": self.classes[shares.index(max(shares))]}
        for label, share in zip(self.classes, shares, strict=True):
            answer[f"probability_{label}"] = share
        return typed, answer

    def golden_difference(self, n_rows: int | None = None) -> float:
        """The largest relative difference to the recorded predictions of the golden rows.

        A label that differs counts as infinite. `n_rows` limits it to the first rows.
        """
        rows = self.golden["rows"][:n_rows]
        expected = self.golden["predictions"]
        seen = self.predict(self.parse(columns_of_rows(rows)))
        worst = 0.0 if seen.keys() == expected.keys() else np.inf
        for name, values in seen.items():
            recorded = np.array(expected.get(name, [None] * len(rows))[: len(rows)])
            if values.dtype.kind != "f":
                worst = max(worst, 0.0 if values.tolist() == recorded.tolist() else np.inf)
                continue
            scale = np.maximum(np.abs(recorded), 1e-6)
            worst = max(worst, float(np.max(np.abs(values - recorded) / scale, initial=0.0)))
        same = all(self._one_is_as_among_others(row, seen, i) for i, row in enumerate(rows))
        return float(worst) if same else np.inf

    def _one_is_as_among_others(
        self, row: Mapping[str, Any], together: Mapping[str, Any], index: int
    ) -> bool:
        alone = self.predict_one(row)
        if alone is None:
            return True
        return all(_same(values, index, alone[1][name]) for name, values in together.items())


def _same(values: Any, index: int, alone: Any) -> bool:
    """Labels to the letter; of numbers a linear algebra may round one row and many differently."""
    if values[index] == alone or values.dtype.kind != "f":
        return bool(values[index] == alone)
    most = float(np.max(np.abs(values)))
    return math.isclose(values[index], alone, rel_tol=ROUNDING, abs_tol=ROUNDING * most)


def predictions(estimator: Estimator, matrix: Any, classes: Sequence[Any] | None) -> dict[str, Any]:
    """What `Predictor.predict` answers for this matrix; `classes` is None for a regression."""
    if classes is None:
        return {"prediction": np.asarray(estimator.predict(matrix), dtype=np.float64)}
    shares = np.asarray(estimator.predict_proba(matrix), dtype=np.float64)
    labels = np.array(classes)
    answer = {"prediction": labels[shares.argmax(axis=1)]}
    for index, label in enumerate(classes):
        answer[f"probability_{label}"] = shares[:, index]
    return answer


def columns_of_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Raw columns of raw rows; a field that some rows lack is None there."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def read_checked(
    directory: Path, manifest_digest: str | None
) -> tuple[dict[str, Any], str, dict[str, bytes]]:
    """The manifest, its digest, and the bytes of every file, all found as recorded."""
    raw = read_regular(directory, MANIFEST)
    digest = hashlib.sha256(raw).hexdigest()
    if manifest_digest is not None and digest != manifest_digest:
        raise BundleRefused(
            f"{directory}: the manifest's sha256 is {digest}, and {manifest_digest} was recorded "
            "when the model was made. Nothing was loaded. Download the version again; if it "
            "differs again, somebody changed it: train anew."
        )
    manifest = _manifest(raw, directory)
    recorded: dict[str, str] = manifest["files"]
    present = {path.name for path in directory.iterdir()} - {MANIFEST}
    if present != set(recorded):
        odd = sorted(present ^ set(recorded))
        raise BundleRefused(
            f"{directory}: {len(odd)} files are there or recorded but not both: "
            f"{', '.join(map(repr, odd[:10]))}. Nothing was loaded."
        )
    files = {name: read_regular(directory, name) for name in recorded}
    for name, content in files.items():
        seen = hashlib.sha256(content).hexdigest()
        if seen != recorded[name]:
            raise BundleRefused(
                f"{directory}: the sha256 of {name} is {seen}; the manifest records "
                f"{recorded[name]}. Nothing was loaded."
            )
    return manifest, digest, files


def read_regular(directory: Path, name: str) -> bytes:
    """The bytes of a regular file of the folder itself; a link or a giant is refused unread."""
    try:
        descriptor = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise BundleRefused(f"{directory}: {name} cannot be opened: {error.strerror}.") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BundleRefused(f"{directory}: {name} is no regular file.")
        if status.st_size > MAX_FILE_BYTES:
            raise BundleRefused(
                f"{directory}: {name} has {status.st_size:,} bytes; at most {MAX_FILE_BYTES:,} "
                "are loaded."
            )
        with open(descriptor, "rb", closefd=False) as file:
            # Not the limit: a read reserves as much memory as it asks for.
            return file.read(status.st_size)
    finally:
        os.close(descriptor)


def _manifest(raw: bytes, directory: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(raw)
        names = set(manifest["files"])
        kind, trusted = manifest["format"], manifest["trusted_types"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleRefused(f"{directory}: {MANIFEST} is no manifest: {error!r}.") from error
    if kind != FORMAT:
        raise BundleRefused(f"{directory}: the bundle has format {kind}; {FORMAT} is understood.")
    known = {*REQUIRED, BUILDER, ONE_ROW, *ESTIMATORS}
    if not names >= set(REQUIRED) or not names <= known or manifest["estimator"] not in names:
        raise BundleRefused(
            f"{directory}: the manifest lists {', '.join(sorted(map(repr, names))[:10])}; a bundle "
            f"has {', '.join(REQUIRED)}, an estimator, and perhaps {ONE_ROW} and {BUILDER}."
        )
    refuse_types(trusted, manifest["builder_module"])
    return dict(manifest)


def refuse_types(names: Sequence[str], builder_module: str | None) -> None:
    """Raise BundleRefused for a type from outside the trusted packages and the model's builder."""
    bad = [name for name in names if not _may_load(name, builder_module)]
    if bad:
        raise BundleRefused(
            f"The estimator holds types that may not be loaded: {', '.join(bad[:10])} "
            f"({len(bad)} in all). Allowed are those of {', '.join(TRUSTED_PACKAGES)} and of the "
            "model's own builder module."
        )


def _may_load(name: str, builder_module: str | None) -> bool:
    parts = name.split(".")
    if name in TRUSTED_NAMES or (builder_module and name.startswith(f"{builder_module}.")):
        return True
    return parts[0] in TRUSTED_PACKAGES and not DISTRUSTED_PARTS.intersection(parts)


def module_from_source(source: bytes, name: str) -> types.ModuleType:
    """A module of checked bytes: never from a path, where the file may have changed since."""
    module = types.ModuleType(name)
    code = compile(source, f"<bundle>/{name}.py", "exec")
    # Dataclasses look their module up while the class is made.
    with _installed({name: module}):
        exec(code, module.__dict__)  # noqa: S102 - its digest was checked
    return module


@contextlib.contextmanager
def _installed(modules: Mapping[str, types.ModuleType]) -> Iterator[None]:
    earlier = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in earlier.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def _load_estimator(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Estimator:
    content = files[manifest["estimator"]]
    if manifest["estimator"] == ONNX:
        return OnnxEstimator(content)
    return _load_skops(manifest, files, content)


class OnnxEstimator:
    """A graph of the input `matrix` and one output, `prediction` or `probabilities`.

    Few rows are one thread's: handing them to another costs more than predicting them. Many are
    shared by as many threads as `OMP_NUM_THREADS` says, each with a graph's run of its own; a row's
    prediction does not depend on the others, so the answer is the same to the bit.
    """

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        try:
            self._run = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            ).run
        except Exception as error:
            raise BundleRefused(f"{ONNX} is no graph that can be run: {error}") from error
        self._threads = allowed_threads()
        # Without threads until many rows come.
        self._pool = ThreadPoolExecutor(max(1, self._threads - 1), thread_name_prefix="graph")

    def predict(self, matrix: Any) -> Any:
        """[n_rows] float32 of a regression."""
        return self._answer("prediction", matrix).reshape(-1)

    def predict_proba(self, matrix: Any) -> Any:
        """[n_rows, n_classes] float32 of a classification."""
        return self._answer("probabilities", matrix)

    def _answer(self, name: str, matrix: Any) -> Any:
        if self._threads == 1 or len(matrix) < MANY_ROWS:
            return self._run([name], {"matrix": matrix})[0]
        first, *others = np.array_split(matrix, self._threads)
        later = [self._pool.submit(self._run, [name], {"matrix": part}) for part in others]
        parts = [self._run([name], {"matrix": first})]
        parts += [part.result() for part in later]
        return np.concatenate([part[0] for part in parts])


def allowed_threads() -> int:
    """What `OMP_NUM_THREADS` says, as for the libraries that know it; 1 where it says nothing."""
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(max(int(said), 1), MOST_THREADS) if said.isdigit() else 1


def _load_skops(
    manifest: Mapping[str, Any], files: Mapping[str, bytes], content: bytes
) -> Estimator:
    import skops.io

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise BundleRefused(f"{manifest['estimator']} is no skops file: {error}.") from error
    if unpacked > MAX_FILE_BYTES:
        raise BundleRefused(
            f"{manifest['estimator']} unpacks to {unpacked:,} bytes; at most {MAX_FILE_BYTES:,}."
        )
    with _builder_installed(manifest, files):
        try:
            estimator = skops.io.loads(content, trusted=list(manifest["trusted_types"]))
        except skops.io.exceptions.UntrustedTypesFoundException as error:
            raise BundleRefused(f"The estimator holds types nobody recorded: {error}") from error
    return _single_threaded(estimator)


@contextlib.contextmanager
def _builder_installed(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Iterator[None]:
    """The bundle's own builder under its name, while an estimator with types of it is loaded."""
    name = manifest["builder_module"]
    if not name or not any(t.startswith(f"{name}.") for t in manifest["trusted_types"]):
        yield
        return
    parts = name.split(".")
    parents = [".".join(parts[:end]) for end in range(1, len(parts))]
    stubs = {parent: types.ModuleType(parent) for parent in parents if parent not in sys.modules}
    for stub in stubs.values():
        stub.__path__ = []
    with _installed(stubs), _installed({name: module_from_source(files[BUILDER], name)}):
        yield


def _single_threaded(estimator: Any) -> Estimator:
    """One thread a prediction: handing a few rows to a pool costs more than predicting them."""
    jobs = [name for name in estimator.get_params() if name.rpartition("__")[2] == "n_jobs"]
    estimator.set_params(**dict.fromkeys(jobs))
    ready: Estimator = estimator
    return ready
