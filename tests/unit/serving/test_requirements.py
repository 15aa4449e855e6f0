"""What serves is locked, and is what fitted: the two locks agree where it matters."""

import re

import pytest

from include.evergreen.adapters.runtime.docker_images import KINDS, lock_of
from tests.conftest import PROJECT_ROOT

SERVING = PROJECT_ROOT / "docker" / "serving"
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+) *(;[^\\]*)?", re.MULTILINE)


def pins(path) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for name, version, marker in PINNED.findall(path.read_text()):
        found.setdefault(name.lower(), set()).add((version, marker.strip(" ;")))
    return found


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("sklearn", name) for name in ("numpy", "scipy", "scikit-learn", "skops", "joblib")),
        *(("onnx", name) for name in ("numpy", "onnxruntime", "protobuf", "orjson")),
    ],
)
def test_the_locks_pin_the_version_that_fits(kind, name) -> None:
    ours = {version for version, _ in pins(lock_of(SERVING, kind))[name]}
    theirs = {version for version, _ in pins(PROJECT_ROOT / "requirements.lock")[name]}
    assert ours == theirs


@pytest.mark.parametrize("kind", KINDS)
def test_every_requirement_is_locked_with_hashes(kind) -> None:
    lock = lock_of(SERVING, kind).read_text()
    locked = pins(lock_of(SERVING, kind))
    named = [SERVING / f"requirements-{part}.txt" for part in ("app", kind)]
    for line in "".join(path.read_text() for path in named).splitlines():
        name = re.split(r"[<>=;! ]", line.strip())[0]
        if name and not name.startswith(("#", "-r")):
            assert name in locked, f"{name} is not in {lock_of(SERVING, kind)}: run make lock"
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)
    assert all("--hash=sha256:" in block for block in blocks if "==" in block)


@pytest.mark.parametrize("kind", KINDS)
def test_the_container_has_neither_pandas_nor_airflow_nor_mlflow(kind) -> None:
    unwanted = {"pandas", "apache-airflow", "mlflow", "pyarrow", "polars"}
    assert not unwanted & pins(lock_of(SERVING, kind)).keys()


def test_what_runs_a_graph_comes_without_scikit_learn() -> None:
    assert not {"scikit-learn", "scipy", "skops"} & pins(lock_of(SERVING, "onnx")).keys()


def test_the_app_imports_nothing_of_the_project() -> None:
    ours = re.compile(r"^\s*(from|import) (include|airflow|mlflow|pandas)", re.MULTILINE)
    for path in SERVING.glob("*.py"):
        assert not ours.search(path.read_text()), path.name
