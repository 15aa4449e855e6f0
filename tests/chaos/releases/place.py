"""An installation with two versions, built once, that take turns in production; and its clients."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
from docker.errors import ImageNotFound

from include.evergreen import settings as evergreen_settings
from include.evergreen.contracts import BuiltImage, Candidate
from include.evergreen.model_code.predictor import columns_of_rows
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.bundle import load_predictor
from include.evergreen.stages.clock import utc_now
from include.evergreen.stages.resources import Resources
from tests.chaos.releases.clients import Answer, Clients, p99_s
from tests.chaos.releases.plan import Plan
from tests.containers import conftest as containers
from tests.containers.conftest import House

MODEL = "rides_under_load"
#: In these many requests a second of all clients, windows are as short as they can be.
WINDOW_S, WATCH_S = 1.0, 3.0
#: The watch asks the golden rows every five seconds; nothing else tells it of NaN.
WATCH_FOR_NAN_S = 7.0
#: A p99 above so many of those seen before is too slow. A slow model takes ten.
TOO_SLOW, SLOW = 4.0, 10.0
#: Of episodes: what else the machine does comes and goes, and a start of a container counts, too.
_REMEMBERED = 3
#: How long clients are looked at before the first of them, and what they show at least.
_LOOK_S, _LEAST_P99_S = 2.0, 0.02
#: A machine that is out of breath is no measure: ten times as much is a version that hangs.
_WORST_P99_S = 0.2
#: The service level, by which the gateway is patient: no client waits for longer than all of it.
_LEAST_LEVEL_MS, _MOST_LEVEL_MS = 300.0, 1500.0
_TIME = pl.Datetime("us", "UTC")
_OFF = 30.0  # by how much the labels of an a/b test say that the old version is wrong
_DOCKERFILE = """\
FROM {image}
COPY faulty_service.py /app/
ENV EVERGREEN_SPOOL_SECONDS=1
ENTRYPOINT ["/opt/serving/bin/python", "/app/faulty_service.py", "--host", "0.0.0.0", \
"--port", "8080"]
"""

honest_rows = containers.rows


def rows(seed: int) -> pl.DataFrame:
    """Those of the containers' tests, each with a key."""
    return honest_rows(seed).with_row_index("ride").with_columns(pl.col("ride").cast(pl.Int64))


def spec(**deployment: Any) -> ModelSpec:
    document = copy.deepcopy(containers.SPEC)
    document["model"] = MODEL
    document["data"]["columns"]["ride"] = {"type": "integer"}
    document["data"]["key"] = "ride"
    document["deployment"] |= {"runtime": "docker", "start_timeout_s": 240, **deployment}
    return ModelSpec.model_validate(document)


@dataclass
class FaultyHouse(House):
    """A house whose images are the product's, with a model that goes wrong when it is told to."""

    engine: Any = None

    def build(self, candidate: Candidate) -> BuiltImage:
        image = super().build(candidate)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "Dockerfile").write_text(_DOCKERFILE.format(image=image.reference))
            shutil.copy(Path(__file__).with_name("faulty_service.py"), folder)
            said = list(
                self.engine.build(
                    path=folder, tag=image.reference, network_mode="none", rm=True, decode=True
                )
            )
        assert not any("error" in part for part in said), said
        digest = self.engine.inspect_image(image.reference)["Id"]
        planted = dataclasses.replace(image, digest=digest)
        self.resources.ledger.record_image(planted, self.now())
        return planted


@dataclass
class Place:
    """`p99s_s`: of the old version's answers in the last episodes. `batches`: of labels."""

    house: FaultyHouse
    engine: Any
    clients: Clients
    p99s_s: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    batches: Iterator[int] = field(default_factory=itertools.count)

    @property
    def p99_s(self) -> float:
        """What a p99 has been at worst, lately."""
        return max(self.p99s_s)

    @property
    def usual_s(self) -> float:
        """The same, as far as it is a measure."""
        return min(self.p99_s, _WORST_P99_S)

    def live(self) -> int:
        live = self.house.live()
        assert live is not None
        return live

    def house_of(self, plan: Plan) -> FaultyHouse:
        """The same installation, as the spec of an episode has it.

        The service level says how long the gateway is patient with a version, too: ten times it.
        """
        level_ms = min(max(1000 * TOO_SLOW * self.p99_s, _LEAST_LEVEL_MS), _MOST_LEVEL_MS)
        levels = containers.SPEC["deployment"]["service_levels"]
        deployment = {
            "service_levels": {**levels, "p99_ms": level_ms},
            "strategy": plan.strategy,
            "canary": {
                "steps": [0.2, 0.6],
                "window_s": WINDOW_S,
                "min_requests": 20,
                "max_p99_ratio": TOO_SLOW,
                "max_prediction_shift": 1.0,
                "deadline_s": 60,
            },
            "shadow": {"min_requests": 60, "max_difference": 1.0, "deadline_s": 60},
            "ab": {"share": 0.5, "min_labels": 20, "deadline_s": 60},
            "watch": {
                "seconds": WATCH_FOR_NAN_S if plan.fault == "nan" else WATCH_S,
                "max_p99_ms": 1000 * TOO_SLOW * self.usual_s,
            },
        }
        resources = Resources(spec(**deployment), self.house.resources.settings)
        return dataclasses.replace(self.house, resources=resources)

    def label(self, answers: list[Answer], right: int) -> None:
        """Rows that say of these answers that this version was right, and the other was not."""
        known = [answer for answer in answers if answer.kind == "answered"]
        truth = [a.prediction + (a.key % 3) + (0 if a.who == str(right) else _OFF) for a in known]
        if known:
            batch = next(self.batches)
            frame = pl.DataFrame(
                {
                    "ride": [answer.key for answer in known],
                    "count": truth,
                    "_batch": batch,
                    "_row_number": range(len(known)),
                    "_ingested_at": utc_now(),
                },
                schema_overrides={
                    "_batch": pl.Int64,
                    "_row_number": pl.Int64,
                    "_ingested_at": _TIME,
                },
            )
            lake = self.house.resources.lake
            lake.append_rows(MODEL, "rows", [frame], transaction=f"labels:{batch}")


@contextmanager
def opened(folder: Path, engine: Any, empty_registry: Path) -> Iterator[Place]:
    """Version 1 answers in production, 2 is staged; nothing is left of them afterwards."""
    settings = evergreen_settings.load({"EVERGREEN_HOME": str(folder / "home")})
    (settings.home / "mlflow").mkdir(parents=True)
    shutil.copy(empty_registry, settings.home / "mlflow" / "mlflow.db")
    easy = {"load_seconds": 3, "connections": 2, "p99_ms": 60_000, "min_requests_per_s": 0.1}
    first = spec(watch={"seconds": 0.5}, service_levels=easy)
    house = FaultyHouse(Resources(first, settings), folder, engine=engine)
    with ExitStack() as stack:
        stack.callback(_remove, house)
        with mock.patch.object(containers, "rows", rows):
            endpoint = house.release(1).service.endpoint
            house.deploy(2)
        for service in house.runtime.find(MODEL, "staging"):
            house.runtime.remove(service, grace_s=1)
        asked = [
            {"at": at.isoformat(), "temperature": degrees, "weather": weather}
            for at, degrees, weather, _ in honest_rows(5).iter_rows()
        ]
        expected = {str(image.version): _predicted(house, image, asked) for image in house.built}
        clients = stack.enter_context(Clients(endpoint, asked, expected))
        made = Place(house, engine, clients)
        time.sleep(_LOOK_S)
        made.p99s_s.append(max(_LEAST_P99_S, p99_s(clients.take(), "1")))
        yield made


def _predicted(house: House, image: BuiltImage, asked: list[dict[str, Any]]) -> list[float]:
    bundle = house.folder / f"training-{image.version}" / "bundle"
    predictor = load_predictor(bundle, image.manifest_digest)
    found = predictor.predict(predictor.parse(columns_of_rows(asked)))["prediction"].tolist()
    return list(map(float, found))


def _remove(house: FaultyHouse) -> None:
    containers.remove_all(house.runtime)
    for image in house.built:
        with suppress(ImageNotFound):
            house.engine.remove_image(image.reference, force=True)
