"""What serves is locked, and is what fitted: the two locks agree where it matters."""

import re

import pytest

from tests.conftest import PROJECT_ROOT

SERVING = PROJECT_ROOT / "docker" / "serving"
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+) *(;[^\\]*)?", re.MULTILINE)


def pins(path) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for name, version, marker in PINNED.findall(path.read_text()):
        found.setdefault(name.lower(), set()).add((version, marker.strip(" ;")))
    return found


@pytest.mark.parametrize("name", ["numpy", "scipy", "scikit-learn", "skops", "joblib", "orjson"])
def test_both_locks_pin_the_same_version(name) -> None:
    ours = {version for version, _ in pins(SERVING / "requirements.lock")[name]}
    theirs = {version for version, _ in pins(PROJECT_ROOT / "requirements.lock")[name]}
    assert ours == theirs


def test_every_requirement_is_locked_with_hashes() -> None:
    lock = (SERVING / "requirements.lock").read_text()
    locked = pins(SERVING / "requirements.lock")
    for line in (SERVING / "requirements.txt").read_text().splitlines():
        name = re.split(r"[<>=;! ]", line.strip())[0]
        if name and not name.startswith("#"):
            assert name in locked, (
                f"{name} is not in docker/serving/requirements.lock: run make lock"
            )
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)
    assert all("--hash=sha256:" in block for block in blocks if "==" in block)


def test_the_container_has_neither_pandas_nor_airflow_nor_mlflow() -> None:
    assert (
        not {"pandas", "apache-airflow", "mlflow", "pyarrow", "polars"}
        & pins(SERVING / "requirements.lock").keys()
    )


def test_the_app_imports_nothing_of_the_project() -> None:
    ours = re.compile(r"^\s*(from|import) (include|airflow|mlflow|pandas)", re.MULTILINE)
    for path in SERVING.glob("*.py"):
        assert not ours.search(path.read_text()), path.name
