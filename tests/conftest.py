"""What every test shares: a throw-away home, and where the real data lies."""

import os
import tempfile
from pathlib import Path

import pytest

# Airflow reads its home when first imported: a test never touches the user's.
_airflow_home = tempfile.mkdtemp(prefix="evergreen-test-airflow-")
os.environ["AIRFLOW_HOME"] = _airflow_home
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
os.environ["DO_NOT_TRACK"] = "1"
# Tests run side by side, on small data. A second thread of OpenMP is waited for at each of the
# thousand steps of a small fit, which took most of its time; services are started with one, too.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
_KEPT = (
    "EVERGREEN_SHARED_DATA",
    "EVERGREEN_BASE_IMAGE",
    "EVERGREEN_GATEWAY_IMAGE",
    "EVERGREEN_PROMETHEUS",
)
for name in [name for name in os.environ if name.startswith("EVERGREEN_")]:
    if name not in _KEPT:
        del os.environ[name]

from include.evergreen import settings as evergreen_settings  # noqa: E402

PROJECT_ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def project_root() -> Path:
    return PROJECT_ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path | None:
    """The folder of real data, or None where it is absent (tests then use the simulator)."""
    folder = Path(os.environ.get("EVERGREEN_SHARED_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    return folder if (folder / "bike_sharing_hourly.csv.gz").is_file() else None


@pytest.fixture
def installation(tmp_path: Path) -> evergreen_settings.Settings:
    """Settings whose home is this test's own temporary folder."""
    return evergreen_settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})


#: Modules that start processes, servers or trainings. `make check` leaves them to `make test`,
#: to stay under two minutes; inside a module a single test may be marked slow by itself.
SLOW = (
    "chaos/",
    "fuzz/",
    "sabotage/",
    "unit/adapters/ledger/",
    "unit/adapters/test_drift_reports.py",
    "unit/adapters/test_journal_anchors.py",
    "unit/adapters/test_lake_s3.py",
    "unit/adapters/test_landing_s3.py",
    "unit/adapters/test_onnx_models.py",
    "unit/adapters/test_process_runtime.py",
    "unit/adapters/test_registry.py",
    "unit/adapters/test_studies.py",
    "unit/cli/",
    "unit/model_code/test_pyfunc.py",
    "unit/serving/",
    "unit/simulator/",
    "unit/spec/test_infer",
    "unit/stages/infer",
    "unit/stages/release/",
    "unit/stages/ingest/test_any_file.py",
    "unit/stages/ingest/test_bad_file_memory.py",
    "unit/stages/ingest/test_bad_zones.py",
    "unit/stages/ingest/test_starvation.py",
    "unit/stages/test_drift_alarms.py",
    "unit/stages/test_infer",
    "unit/stages/test_maintain.py",
    "unit/stages/test_monitor.py",
    "unit/stages/training/",
    "unit/test_loop_in_process.py",
    "unit/test_request_trigger.py",
    "unit/test_triggers.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        place = item.path.relative_to(PROJECT_ROOT / "tests").as_posix()
        if place.startswith(SLOW) or "postgresql" in item.name:
            item.add_marker(pytest.mark.slow)
