"""A real stack in a home of its own: Airflow with scheduler and triggerer, MLflow, the ledger."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.ledger import Ledger, open_ledger
from include.evergreen.cli.airflow_api import AirflowApi
from include.evergreen.cli.stack import services
from include.evergreen.cli.stack.state import USER, read_password, read_state, stack_settings
from include.evergreen.contracts import Deployment
from include.evergreen.stages.resources import Resources
from tests.end_to_end.waiting import wait_for

UP_SECONDS = 300


@dataclass
class Stack:
    """A running stack, as its user meets it: files, the ledger, and Airflow's REST API."""

    home: Path
    models: Path
    project: Path
    environment: dict[str, str]

    @property
    def settings(self) -> evergreen_settings.Settings:
        return stack_settings(evergreen_settings.load(self.environment))

    @property
    def ledger(self) -> Ledger:
        return open_ledger(self.settings.ledger_url)

    @property
    def airflow(self) -> AirflowApi:
        state = read_state(self.home)
        assert state is not None
        return AirflowApi(state.airflow_url, USER, read_password(self.home))

    def resources(self, model: str) -> Resources:
        from include.evergreen.spec import load_specs

        return Resources(load_specs(self.models, only=model).specs[model], self.settings)

    def command(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "include.evergreen.cli.stack", *arguments],
            cwd=self.project,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def write_spec(self, model: str, **sections: dict[str, Any]) -> None:
        """A shipped spec with single keys replaced, section by section."""
        shipped = self.project / "include" / "models" / f"{model}.yaml"
        document = yaml.safe_load(shipped.read_text())
        for section, values in sections.items():
            document.setdefault(section, {}).update(values)
        (self.models / f"{model}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        examples = shipped.with_suffix(".acceptance.yaml")
        if examples.is_file():
            (self.models / examples.name).write_text(examples.read_text())

    def wait_staged(self, model: str, version: int, seconds: float) -> Deployment:
        """The deployment of that version in staging, once it is live."""
        return self._wait_live(model, version, "staging", seconds)

    def wait_released(self, model: str, version: int, seconds: float) -> Deployment:
        """The deployment of that version in production, once it is live and its watch is over."""
        live = self._wait_live(model, version, "production", seconds)
        self.wait_settled(model)
        return live

    def _wait_live(self, model: str, version: int, where: str, seconds: float) -> Deployment:
        def look() -> Deployment | None:
            live = self.ledger.deployment(model, where)
            return live if live and live.version == version else None

        try:
            return wait_for(f"{model} version {version} in {where}", look, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story(model)}") from error

    def wait_settled(self, model: str) -> None:
        """Until no run of deploy or release goes on: the ledger says live first, then the aliases
        move, and what was live before stops.
        """

        def look() -> bool:
            return all(
                run.is_over
                for stage in ("deploy", "release")
                for run in self.airflow.runs(f"{model}.{stage}", "2026-01-01T00:00:00Z", limit=100)
            )

        wait_for(f"the end of deploy and release of {model}", look, seconds=120)

    def story(self, model: str) -> str:
        """What the ledger says happened, for the message of a failed test."""
        rows = self.ledger.history(model, limit=40)
        lines = [f"{r.at:%H:%M:%S} {r.kind}: {r.summary} {r.reason}" for r in reversed(rows)]
        return "\n".join(lines)


@pytest.fixture(scope="module")
def stack(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Not started: a test writes its specs, then calls `command("up")`. Stopped afterwards."""
    home = tmp_path_factory.mktemp("home")
    models = tmp_path_factory.mktemp("models")
    environment = {"EVERGREEN_HOME": str(home), "EVERGREEN_MODELS_DIR": str(models)}
    made = Stack(home, models, project_root, environment)
    try:
        yield made
    finally:
        made.command("down")
        services.remove_all(made.settings)  # networks are few on an engine
