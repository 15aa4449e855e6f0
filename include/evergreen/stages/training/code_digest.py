"""The digest of the code that decides what a training makes: the same code, the same digest.

It covers the feature code, the search spaces, the fitting and judging, the user's builders, and
the versions of the libraries below them. Comments, docstrings and layout do not count: nobody
trains anew because of a better sentence.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
#: What changes a model or its judgement. Logging, claiming and registering do not.
FILES = (
    "adapters/onnx_models/export.py",
    "adapters/onnx_models/graph.py",
    "adapters/onnx_models/trees.py",
    "model_code/features.py",
    "model_code/one_row.py",
    "model_code/plan.py",
    "model_code/predictor.py",
    "model_code/row_contract.py",
    "stages/training/block_sums.py",
    "stages/training/folds.py",
    "stages/training/frozen_rows.py",
    "stages/training/recipes.py",
    "stages/training/resampling.py",
    "stages/training/scoring.py",
    "stages/training/search_spaces.py",
    "stages/training/serving_format.py",
    "stages/training/contest.py",
    "stages/training/run_gates.py",
    "policy/holdout.py",
    "policy/improvement.py",
    "policy/judging.py",
    "policy/metrics.py",
    "policy/parity.py",
)
#: Folders of which every module counts: what the gates of the judge measure, and require.
FOLDERS = ("stages/training/gates", "policy/gates")
LIBRARIES = (
    "fairlearn",
    "numpy",
    "onnxruntime",
    "optuna",
    "scikit-learn",
    "scipy",
    "skl2onnx",
    "skops",
)


def code_digest(builders: tuple[Path, ...] = ()) -> str:
    """Sha256 (hex) over the code and library versions, and over these builder files."""
    document = {
        "code": dict(_package_digests()),
        "builders": sorted(source_digest(path.read_text("utf-8")) for path in builders),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def source_digest(source: str) -> str:
    """Sha256 (hex) over what a source does: without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _drop_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> None:
    first = node.body[0] if node.body else None
    value = first.value if isinstance(first, ast.Expr) else None
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        node.body[:1] = [ast.Pass()]


@functools.cache
def _package_digests() -> tuple[tuple[str, str], ...]:
    """Once a process: the code that runs is the code that was imported."""
    names = [*FILES]
    for folder in FOLDERS:
        found = sorted(path.name for path in (PACKAGE / folder).glob("*.py"))
        names += [f"{folder}/{name}" for name in found]
    return tuple((name, source_digest((PACKAGE / name).read_text("utf-8"))) for name in names)
