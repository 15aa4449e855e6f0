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
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
for name in [name for name in os.environ if name.startswith("EVERGREEN_")]:
    if name not in ("EVERGREEN_SHARED_DATA", "EVERGREEN_BASE_IMAGE"):
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
