"""Everything that a storm rages over: a real stack, and what stands around it, for many episodes.

Airflow with all its parts under our own supervisor; the lake (and, with PostgreSQL, the landing
zone) on S3 and MLflow each behind a proxy; the ledger on SQLite or PostgreSQL; what tasks write
locally on a small disk; and an engine of its own where one can be had.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import psutil
import yaml

from include.evergreen.stages.resources import Resources
from tests import postgres
from tests.chaos.forks import ROOT, ForkServer
from tests.chaos.mlflow_server import MlflowServer
from tests.chaos.storm import model, own_engine, plan
from tests.chaos.storm.airflow_hands import AirflowHands
from tests.chaos.storm.deliveries import Deliveries, into_bucket, into_folder
from tests.chaos.storm.own_engine import OwnEngine
from tests.chaos.storm.proxy import ProxyProcess
from tests.chaos.storm.small_disk import SmallDisk
from tests.end_to_end.conftest import Stack
from tests.s3_server import s3_client, s3_environment, s3_server

Database = Literal["sqlite", "postgresql"]
BUCKET = "storm"


@dataclass
class Place:
    """A running installation and the handles to trouble it with."""

    database: Database
    stack: Stack
    mlflow: ProxyProcess
    s3: ProxyProcess
    disk: SmallDisk
    engine: OwnEngine | None
    cluster: postgres.Cluster | None
    deliveries: Deliveries
    zones: tuple[str, str]
    #: Looks at the installation in children of its own.
    forks: ForkServer
    #: Episodes that this place has seen.
    episodes: int = field(default=0)

    @property
    def home(self) -> Path:
        return self.stack.home

    def kinds(self) -> list[str]:
        return plan.possible(
            postgresql=self.cluster is not None,
            small_disk=self.disk.mounted,
            engine=self.engine is not None,
        )

    def write_spec(self, runtime: str) -> None:
        document = model.spec(*self.zones, runtime)
        target = self.stack.models / f"{model.MODEL}.yaml"
        hidden = target.with_suffix(".part")
        hidden.write_text(yaml.safe_dump(document, sort_keys=False))
        hidden.rename(target)

    @cached_property
    def airflow(self) -> AirflowHands:
        return AirflowHands(self.home, self.stack.airflow)

    def resources(self) -> Resources:
        return self.stack.resources(model.MODEL)

    def engine_is_down(self) -> bool:
        return self.engine is not None and self.engine.down.is_set()


@contextlib.contextmanager
def opened(folder: Path, database: Database, *, with_engine: bool = True) -> Iterator[Place]:
    """A place whose Airflow answers; nothing of it runs, or is mounted, afterwards."""
    home, models = folder / "home", folder / "models"
    home.mkdir(parents=True)
    models.mkdir()
    with contextlib.ExitStack() as stack:
        mlflow, s3 = stack.enter_context(ProxyProcess()), stack.enter_context(ProxyProcess())
        disk = SmallDisk(home)
        stack.callback(disk.close)
        moto = stack.enter_context(s3_server())
        s3.aim(urlsplit(moto).port or 0)
        client = s3_client(moto)
        client.create_bucket(Bucket=BUCKET)
        starting = stack.enter_context(ThreadPoolExecutor(1))
        server = starting.submit(
            MlflowServer, home / "mlflow", folder / "mlflow.log", also_at=mlflow.port
        )
        stack.callback(lambda: server.result().close())
        engine = _engine(stack) if with_engine else None
        cluster = stack.enter_context(postgres.running()) if database == "postgresql" else None
        if cluster is None:
            ledger = f"sqlite:///{disk.root / 'ledger.db'}"
            zones = ("landing/rows", "landing/labels")
            deliveries = Deliveries(into_folder(home / "landing"))
        else:
            ledger = cluster.url(cluster.new_database())
            zones = (f"s3://{BUCKET}/landing/rows/", f"s3://{BUCKET}/landing/labels/")
            deliveries = Deliveries(into_bucket(client, BUCKET, "landing"))
        environment = {
            "EVERGREEN_HOME": str(home),
            "EVERGREEN_MODELS_DIR": str(models),
            "EVERGREEN_LAKE_URI": f"s3://{BUCKET}/lake",
            "EVERGREEN_LEDGER_URL": ledger,
            "EVERGREEN_MLFLOW_URI": mlflow.url,
            "EVERGREEN_DOCKER_URL": engine.url if engine else f"unix://{folder / 'none.sock'}",
            **s3_environment(s3.url),
        }
        forks = ForkServer(_of_the_checker(environment), folder / "checker.log")
        stack.callback(forks.close)
        made = Stack(home, models, ROOT, environment)
        place = Place(database, made, mlflow, s3, disk, engine, cluster, deliveries, zones, forks)
        place.write_spec("process")
        stack.callback(_end_services, home)
        stack.callback(made.command, "down")
        made.command("up")
        mlflow.aim(urlsplit(server.result().url).port or 0)
        yield place


def _of_the_checker(environment: dict[str, str]) -> dict[str, str]:
    return {
        **environment,
        "AIRFLOW_HOME": f"{environment['EVERGREEN_HOME']}/airflow-of-the-checker",
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
    }


def _engine(stack: contextlib.ExitStack) -> OwnEngine | None:
    """None, and said so, where it cannot be had; CI takes that for a failure."""
    why = own_engine.missing()
    if why:
        if os.environ.get("CI") == "true":
            raise RuntimeError(f"CI needs an engine of its own: {why}")
        print(f"No fault of the container engine is tried: {why}")
        return None
    engine = OwnEngine()
    stack.callback(engine.close)
    engine.start()
    engine.load()
    return engine


def _end_services(home: Path) -> None:
    """End the processes that serve a model of this home: they outlive the stack on purpose."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(home / "services") in " ".join(process.cmdline()):
                process.kill()
