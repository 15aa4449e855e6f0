"""The servers that `serving.py` compares: how each is installed, started and asked.

Peers are installed into environments of their own. All run as plain processes with one worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving_model import MODEL, Served

PROJECT_ROOT = Path(__file__).resolve().parents[1]
APP = PROJECT_ROOT / "docker" / "serving" / "app.py"
START_S = 120
#: What is installed for each peer, next to what it brings itself.
PACKAGES = {
    "mlflow": ["mlflow==3.17.2", "scikit-learn==1.9.1", "skops"],
    "mlserver": ["mlserver==1.7.1", "mlserver-sklearn==1.7.1", "scikit-learn==1.9.1"],
    "bentoml": ["bentoml==1.4.39", "scikit-learn==1.9.1"],
}

EMPTY = """
import sys, uvicorn
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"21")]
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b'{"predictions":[0.0]}'})
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False, server_header=False)
"""
BENTO = """
import bentoml, joblib, numpy as np
@bentoml.service(workers=1, traffic={"timeout": 60})
class Bench:
    def __init__(self) -> None:
        self.estimator = joblib.load("estimator.joblib")
    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.estimator.predict(rows)
"""


@dataclass(frozen=True)
class Side:
    """One server: what starts it, where it is asked, and the body for so many rows."""

    name: str
    command: Callable[[int], list[str]]
    path: str
    body: Callable[[int], bytes]
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


def sides(served: Served, folder: Path, environments: Path) -> list[Side]:
    """All that are compared; ours first."""
    return [
        _ours("ours, ONNX", served.onnx, served, folder),
        _ours("ours, scikit-learn", served.sklearn, served, folder),
        _empty(served),
        _mlflow(served, folder, environments),
        _mlserver(served, folder, environments),
        _bentoml(served, folder, environments),
    ]


def _records(served: Served) -> Callable[[int], bytes]:
    return lambda n: json.dumps({"dataframe_records": served.rows[:n]}).encode()


def _ours(name: str, bundle: tuple[Path, str], served: Served, folder: Path) -> Side:
    """Contract, features, metrics and prediction log on, as in production with `cpus: 2`: the
    peers take every core they find.
    """
    spool = folder / f"spool-{bundle[0].name}"
    spool.mkdir()
    env = {
        "EVERGREEN_BUNDLE": str(bundle[0]),
        "EVERGREEN_MANIFEST_DIGEST": bundle[1],
        "EVERGREEN_MODEL": MODEL,
        "EVERGREEN_VERSION": "1",
        "EVERGREEN_SPOOL": str(spool),
        "OMP_NUM_THREADS": "2",
    }
    return Side(
        name,
        lambda port: [sys.executable, str(APP), "--port", str(port)],
        "/invocations",
        _records(served),
        env,
    )


def _empty(served: Served) -> Side:
    """Reads the body and answers a constant, on the server that ours runs on."""
    return Side(
        "empty endpoint",
        lambda port: [sys.executable, "-c", EMPTY, str(port)],
        "/",
        _records(served),
    )


def _mlflow(served: Served, folder: Path, environments: Path) -> Side:
    import joblib
    import mlflow

    model = folder / "mlflow-model"
    mlflow.sklearn.save_model(
        joblib.load(served.estimator),
        model,
        skops_trusted_types=[
            "functools.partial",
            "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
            "sklearn.utils.validation.check_array",
        ],
        pip_requirements=["scikit-learn"],
    )
    program = environments / "mlflow" / "bin" / "mlflow"
    names = [f"f{i}" for i in range(len(served.matrix[0]))]

    def command(port: int) -> list[str]:
        local = ["--env-manager", "local", "--workers", "1", "--host", "127.0.0.1"]
        return [str(program), "models", "serve", "-m", str(model), "-p", str(port), *local]

    def body(n: int) -> bytes:
        split = {"columns": names, "data": served.matrix[:n]}
        return json.dumps({"dataframe_split": split}).encode()

    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return Side("mlflow models serve", command, "/invocations", body, {"PATH": path})


def _mlserver(served: Served, folder: Path, environments: Path) -> Side:
    home = folder / "mlserver"
    home.mkdir()
    parameters = {"uri": str(served.estimator), "version": "1"}
    (home / "model-settings.json").write_text(
        json.dumps(
            {
                "name": MODEL,
                "implementation": "mlserver_sklearn.SKLearnModel",
                "parameters": parameters,
            }
        )
    )
    program = environments / "mlserver" / "bin" / "mlserver"

    def command(port: int) -> list[str]:
        settings = {
            "http_port": port,
            "grpc_port": free_port(),
            "metrics_port": free_port(),
            "host": "127.0.0.1",
            "parallel_workers": 0,
            "debug": False,
            "access_log": False,
        }
        (home / "settings.json").write_text(json.dumps(settings))
        return [str(program), "start", str(home)]

    def body(n: int) -> bytes:
        shape = [n, len(served.matrix[0])]
        values = [value for row in served.matrix[:n] for value in row]
        given = {"name": "rows", "shape": shape, "datatype": "FP64", "data": values}
        return json.dumps({"inputs": [given]}).encode()

    return Side("MLServer", command, f"/v2/models/{MODEL}/infer", body, folder=home)


def _bentoml(served: Served, folder: Path, environments: Path) -> Side:
    home = folder / "bentoml"
    home.mkdir()
    (home / "service.py").write_text(BENTO)
    (home / "estimator.joblib").symlink_to(served.estimator)
    program = environments / "bentoml" / "bin" / "bentoml"
    return Side(
        "BentoML",
        lambda port: [str(program), "serve", "service:Bench", "-p", str(port)],
        "/predict",
        lambda n: json.dumps({"rows": served.matrix[:n]}).encode(),
        {"BENTOML_HOME": str(folder / "bento-home"), "BENTOML_DO_NOT_TRACK": "True"},
        folder=home,
    )


def install(environments: Path, uv: Path, names: Sequence[str]) -> None:
    """Environments of the peers, those that are missing."""
    for name in names:
        target = environments / name
        if (target / ".done").exists():
            continue
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, target], check=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", *PACKAGES[name]],
            check=True,
            env=os.environ | {"VIRTUAL_ENV": str(target)},
        )
        (target / ".done").touch()


@contextlib.contextmanager
def running(side: Side, folder: Path) -> Iterator[str]:
    """The URL of a side that answers; it and all it started have ended afterwards."""
    port = free_port()
    log = folder / f"{side.name.replace(' ', '-').replace(',', '')}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            side.command(port),
            env=os.environ | dict(side.env),
            cwd=side.folder or folder,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}{side.path}"
    deadline = time.monotonic() + START_S

    def gone() -> str:
        over = process.poll() is not None or time.monotonic() > deadline
        return f"It does not start:\n{log.read_text()[-2000:]}" if over else ""

    try:
        until_answered(url, side.body(1), give_up=gone)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ask(url: str, body: bytes) -> Any:
    """One answer; raises OSError where there is none."""
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(url, body, headers)  # noqa: S310 - loopback
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        return json.loads(answer.read())


def until_answered(
    url: str, body: bytes, *, pause_s: float = 0.05, give_up: Callable[[], str] = lambda: ""
) -> None:
    """Ask until there is an answer, or until `give_up` says why there will be none."""
    while True:
        try:
            ask(url, body)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{url}: {error.code} {error.read()[:500]!r}") from error
        except OSError:
            if why := give_up():
                raise SystemExit(why) from None
            time.sleep(pause_s)
        else:
            return


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
