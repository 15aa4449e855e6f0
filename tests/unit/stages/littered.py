"""One installation on a real ledger, MLflow, lake and process runtime, with every kind of litter.

v5 answers; v4, v3 and v2 were live before it, v1 long before them. Beside each piece of litter
lies something that looks like it and is needed.
"""

import datetime as dt
import hashlib
import json
import os
import sqlite3
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import optuna

from include.evergreen.adapters.runtime import Limits, ServiceOrder
from include.evergreen.adapters.runtime.process_runtime import ProcessRuntime
from include.evergreen.contracts import (
    Actor,
    BuiltImage,
    Candidate,
    JournalEntry,
    Judgement,
    RunningService,
    Snapshot,
    TrialBudget,
)
from include.evergreen.policy.retention_facts import RetentionRules
from include.evergreen.settings import Settings
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.journal import anchor_entries
from include.evergreen.stages.maintain.parts import Installation
from include.evergreen.stages.resources import Resources
from tests.unit.stages.watched import append, ride_rows

#: Everything is made now; the house is kept two months later.
LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=60)
DAY = dt.timedelta(days=1)
APP = """
import argparse, socket
parser = argparse.ArgumentParser()
parser.add_argument("--host"); parser.add_argument("--port", type=int)
options = parser.parse_args()
listening = socket.create_server((options.host, options.port))
while True:
    listening.accept()[0].close()
"""
#: A serving recipe whose app does next to nothing.
RECIPE = {
    "app.py": APP,
    "requirements-onnx.lock": "",
    "requirements-sklearn.lock": "",
    "Dockerfile": "",
}
LOST, OPEN, NOBODYS = "a" * 64, "b" * 64, "c" * 64


def key_of(version: int) -> str:
    return f"{version:064x}"


@dataclass
class World:
    """The installation, and the litter by kind as `maintain` names it."""

    resources: Resources
    recipe: Path
    litter: set[tuple[str, str, str]] = field(default_factory=set)
    runs: dict[str, str] = field(default_factory=dict)
    images: dict[int, BuiltImage] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return self.resources.settings

    @property
    def runtime(self) -> ProcessRuntime:
        return ProcessRuntime(self.settings, self.recipe)

    @property
    def client(self) -> mlflow.MlflowClient:
        uri = self.settings.mlflow_uri
        return mlflow.MlflowClient(uri, uri)

    def house(self, now: dt.datetime = LATER) -> Installation:
        rules = RetentionRules(30 * DAY)
        return Installation(self.settings, {"rides": self.resources.spec}, rules, now)

    # --- making ---------------------------------------------------------------------------------

    def training(self, key: str, opened_at: dt.datetime, verdict: str = "") -> str:
        """A training with its run and snapshot; the id of the run, which is left RUNNING."""
        ledger = self.resources.ledger
        ledger.open_training(snapshot(key), f"run-{key[:4]}", opened_at)
        self.runs[key] = self.resources.registry.start_run("rides", key, "training")
        ledger.set_training_run(key, self.runs[key])
        if verdict:
            ledger.record_judgement(key, Judgement(verdict, "the test says so"), opened_at)
        self.resources.lake.put_part("rides", key, "fitting", ride_rows(0, 3))
        return self.runs[key]

    def tags(self, key: str, installation: str = "") -> dict[str, str]:
        """What the registry writes on all it makes: here, or in another installation."""
        whose = installation or self.settings.installation_id
        return {"evergreen.training_key": key, "evergreen.installation": whose}

    def version(self, key: str, *, has_bundle: bool = True) -> int:
        """A registered version of a training, as a folder that MLflow serves."""
        source = self.settings.home / "mlflow" / "made" / uuid.uuid4().hex
        if has_bundle:
            (source / "artifacts" / "bundle").mkdir(parents=True)
            (source / "artifacts" / "bundle" / "manifest.json").write_text("{}")
        made = self.client.create_model_version(
            "rides",
            source.as_uri(),
            self.runs[key],
            tags={**self.tags(key), "evergreen.manifest_digest": "m"},
        )
        return int(made.version)

    def registered(self, version: int, began: dt.datetime) -> None:
        key = key_of(version)
        run = self.training(key, began, "won")
        assert self.version(key) == version
        self.resources.ledger.record_candidate(
            Candidate("rides", version, run, key, "m", refitted=True), began
        )
        self.resources.registry.finish_run(run, succeeded=True)

    def image(self, version: int, *, record: bool = True) -> BuiltImage:
        bundle = self.recipe.parent / f"bundle-{version}"
        bundle.mkdir(exist_ok=True)
        (bundle / "manifest.json").write_text(json.dumps({"version": version}))
        digest = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
        made = self.runtime.build(
            bundle, model="rides", version=version, manifest_digest=digest, training_key="k"
        )
        if record:
            self.resources.ledger.record_image(made, dt.datetime.now(dt.UTC))
        self.images[version] = made
        return made

    def start(self, version: int) -> RunningService:
        spool = self.settings.spool_dir / "rides" / f"v{version}-staging"
        order = ServiceOrder(self.images[version], "staging", Limits(256, 1.0, 64), spool)
        return self.runtime.start(order)

    def deployed(self, version: int, service: RunningService, at: dt.datetime) -> None:
        ledger = self.resources.ledger
        number = ledger.begin_deployment("rides", version, "staging", service.name, at)
        ledger.record_service(number, service, at)
        ledger.finish_deployment(number, "live", "verified", (), at)
        for earlier in ledger.deployments("rides", ["stopping"]):
            if version != 5:
                ledger.finish_deployment(earlier.id, "stopped", "replaced", (), at)


def snapshot(key: str) -> Snapshot:
    return Snapshot(
        model="rides",
        key=key,
        data_version=1,
        labels_version=None,
        rows_digest="d",
        spec_digest="s",
        code_digest="c",
        rows={"fitting": 3},
        seen_from="",
        seen_until="",
        holdout_from="",
        budget=TrialBudget(2, 60, 1),
        request_ids=(),
        reason="test",
    )


def make_world(settings: Settings, spec: ModelSpec, folder: Path) -> World:
    """What an installation looks like that nobody has looked after for long."""
    recipe = folder / "serving"
    recipe.mkdir()
    for name, text in RECIPE.items():
        (recipe / name).write_text(text)
    world = World(Resources(spec, settings), recipe)
    world.client.create_registered_model("rides")
    append(world.resources, ride_rows(0, 5), "f1")
    _serve(world)
    _litter_services(world)
    _litter_registry(world)
    _litter_training(world)
    _litter_folders(world)
    _litter_journal(world)
    return world


def _serve(world: World) -> None:
    began = LATER - 59 * DAY
    for version in range(1, 6):
        world.registered(version, began)
        world.image(version)
        running = version in (1, 5)
        service = (
            world.start(version)
            if running
            else RunningService("0:0", f"gone-{version}", "process", "", "", "")
        )
        world.deployed(version, service, began + version * DAY)
    for alias in ("staging", "champion"):
        world.resources.registry.set_alias("rides", alias, 5)


def _litter_services(world: World) -> None:
    (orphan,) = [s for s in world.runtime.find("rides") if "-v1-" in s.name]
    ledger = world.resources.ledger
    if orphan.name not in {d.service_name for d in ledger.deployments("rides")}:
        number = ledger.begin_deployment("rides", 1, "staging", orphan.name, LATER - 58 * DAY)
        ledger.finish_deployment(
            number, "failed", "its start was interrupted", (), LATER - 58 * DAY
        )
    (stopping,) = world.resources.ledger.deployments("rides", ["stopping"])
    world.litter |= {
        ("finish", "deployment", f"deployment {stopping.id}"),
        ("remove", "service", orphan.name),
        ("remove", "image", world.images[1].reference),
        ("remove", "image", world.image(66, record=False).reference),
    }


def _litter_registry(world: World) -> None:
    registry = world.resources.registry
    world.training(LOST, LATER - 40 * DAY, "lost")  # left RUNNING
    world.training(OPEN, LATER - 5 * DAY)  # RUNNING, and rightly so
    world.training("d" * 64, LATER - 50 * DAY, "lost")
    registry.finish_run(world.runs["d" * 64], succeeded=True)
    world.training("e" * 64, LATER - 50 * DAY, "won")
    recorded = world.version("e" * 64)  # registered, and never recorded
    pending, absent = world.version(LOST), world.version("d" * 64, has_bundle=False)
    second = world.version(key_of(5))
    guarded = world.version("d" * 64)
    registry.set_alias("rides", "somebodys_own", guarded)
    registry.set_alias("rides", "challenger", recorded)
    for version, status in ((pending, "PENDING_REGISTRATION"), (guarded, "PENDING_REGISTRATION")):
        _set_status(world.settings, version, status)
    experiment = registry.experiment("rides")
    logged = world.client.create_logged_model(experiment, name="rides", tags=world.tags(LOST))
    theirs = world.tags("9" * 64, "elsewhere")  # on the same server, known to another ledger
    world.client.create_logged_model(experiment, name="rides", tags=theirs)
    running = world.client.create_run(experiment, tags=theirs).info.run_id
    made = world.client.create_model_version("rides", "file:///nowhere", running, tags=theirs)
    _set_status(world.settings, int(made.version), "PENDING_REGISTRATION")
    world.litter |= {
        ("finish", "run", world.runs[LOST]),
        ("finish", "version", f"v{recorded}"),
        ("remove", "version", f"v{pending}"),
        ("remove", "version", f"v{absent}"),
        ("remove", "version", f"v{second}"),
        ("remove", "logged_model", logged.model_id),
    }
    unused = world.training("f" * 64, LATER - 50 * DAY, "lost")
    registry.finish_run(unused, succeeded=True)
    world.litter.add(("remove", "run", unused))


def _set_status(settings: Settings, version: int, status: str) -> None:
    database = sqlite3.connect(settings.mlflow_uri.removeprefix("sqlite:///"))
    with database:
        database.execute(
            "UPDATE model_versions SET status = ? WHERE version = ?", (status, version)
        )
    database.close()


def _litter_training(world: World) -> None:
    studies, ledger, lake = world.resources.studies, world.resources.ledger, world.resources.lake
    for key in (LOST, OPEN, NOBODYS):
        study = studies.open(key, greater_is_better=False, seed=1)
        study.ask()
        ledger.open_study(key, TrialBudget(2, 60, 1), dt.datetime.now(dt.UTC))
    held = ledger.take_ticket(OPEN, "worker", dt.datetime.now(dt.UTC), lease_s=100 * 86_400)
    assert held is not None
    study.ask()
    kept = studies.open(OPEN, greater_is_better=False, seed=1).ask().number
    ledger.bind_trial(OPEN, held, "worker", kept)
    lake.put_part("rides", NOBODYS, "train", ride_rows(0, 3))
    orphan = Path(world.settings.lake_uri) / "rides" / "rows" / "part-orphan.parquet"
    orphan.write_bytes(b"what a killed append left")
    os.utime(orphan, (0, 0))
    world.litter |= {
        ("remove", "study", LOST),
        ("remove", "study", NOBODYS),
        ("finish", "trial", OPEN),
        ("remove", "table_files", "rows"),
        *(("remove", "snapshot", key) for key in (LOST, "d" * 64, "f" * 64, NOBODYS, key_of(1))),
    }


def _litter_journal(world: World) -> None:
    """All is anchored but the newest entry: who made it died right after."""
    ledger, model = world.resources.ledger, "rides"
    anchor_entries(world.resources, model, now=LATER)
    entry = JournalEntry("approval:5", model, "approved", Actor("person", "admin"), "ok")
    left = ledger.append_journal(entry, LATER - 2 * DAY)
    world.litter.add(("finish", "journal_entry", f"entry {left.number}"))


def _litter_folders(world: World) -> None:
    home = world.settings.home
    for folder in (
        "reports/rides/20260101T000000Z",
        "reports/rides/20260201T000000Z",
        "spool/rides/v3-staging",
        "spool/rides/v2-staging",
        f"work/trainings/rides/{LOST}",
        f"work/trainings/rides/{OPEN}",
        "work/bundles/rides/v1-abc",
        "work/image-abc",
        "services/rides/building-abc",
        "work/ingest/file-abc",
    ):
        (home / folder).mkdir(parents=True, exist_ok=True)
    (home / "spool/rides/v2-staging/unread.parquet").write_bytes(b"not in the lake yet")
    marker = {"stamp": "20260201T000000Z"}
    world.resources.ledger.set_last_monitored("rides", marker, dt.datetime.now(dt.UTC))
    world.litter |= {
        ("remove", "report", "20260101T000000Z"),
        ("remove", "spool", "v1-staging"),
        ("remove", "spool", "v3-staging"),
        ("remove", "work", LOST),
        ("remove", "work", "bundles"),
        ("remove", "work", "work/image-abc"),
        ("remove", "work", "services/rides/building-abc"),
        ("remove", "work", "work/ingest/file-abc"),
    }


optuna.logging.set_verbosity(optuna.logging.WARNING)
