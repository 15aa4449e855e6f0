"""The serving container itself: time to its first answer, size of its image, memory.

Both kinds, the one with ONNX Runtime and the one with scikit-learn, serve the same model, hardened
as in production but on a port of their own. The peer of the start is `docker run` of the base image
with a command that does nothing; sizes are those above the base image.

    python benchmarks/serving_container.py [--repeats 5] [--seconds 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT_ROOT))

from benchmarks import serving_model, serving_peers  # noqa: E402
from benchmarks.serving import load  # noqa: E402
from include.evergreen import settings as evergreen_settings  # noqa: E402
from include.evergreen.adapters.runtime.docker_engine import connect  # noqa: E402
from include.evergreen.adapters.runtime.docker_images import ServingImages  # noqa: E402

#: Seconds, MB above the base image, MB of memory: the most for the container with a graph.
GOALS = {"start_s": 1.0, "size_mb": 250.0, "rest_mb": 200.0, "load_mb": 200.0}
_PORT = 8080
_MB = 1e6


@contextmanager
def container(engine: Any, image: str, digest: str, port: int) -> Iterator[str]:
    """The id of a service that was just started; gone afterwards."""
    host = engine.create_host_config(
        port_bindings={_PORT: ("127.0.0.1", port)},
        read_only=True,
        cap_drop=["ALL"],
        tmpfs={"/tmp": "size=64m", "/spool": "size=512m,mode=1777"},  # noqa: S108 - inside it
        mem_limit=2**30,
    )
    environment = {
        "EVERGREEN_MANIFEST_DIGEST": digest,
        "EVERGREEN_MODEL": serving_model.MODEL,
        "EVERGREEN_VERSION": "1",
        "EVERGREEN_SPOOL": "/spool",
    }
    made = engine.create_container(image, ports=[_PORT], environment=environment, host_config=host)
    try:
        engine.start(made["Id"])
        yield made["Id"]
    finally:
        engine.remove_container(made["Id"], force=True)


def first_answer(engine: Any, image: str, digest: str, body: bytes) -> float:
    """Seconds from the order to start to the first prediction."""
    port = serving_peers.free_port()
    url = f"http://127.0.0.1:{port}/invocations"
    began = time.perf_counter()
    with container(engine, image, digest, port):
        serving_peers.until_answered(url, body, pause_s=0.005)
        return time.perf_counter() - began


def memory(engine: Any, identity: str) -> float:
    """MB that the container's processes hold, without what the kernel can drop."""
    found = engine.stats(identity, stream=False)["memory_stats"]
    return float(found["usage"] - found["stats"].get("inactive_file", 0)) / _MB


def memories(
    engine: Any, image: str, digest: str, folder: Path, body: bytes, seconds: float
) -> tuple[float, float]:
    """At rest after one answer, and the most seen under eight connections."""
    port = serving_peers.free_port()
    url = f"http://127.0.0.1:{port}/invocations"
    path = folder / "body.json"
    path.write_bytes(body)
    with container(engine, image, digest, port) as identity:
        serving_peers.until_answered(url, body)
        time.sleep(2)
        rest = memory(engine, identity)
        most = rest
        for _ in range(max(1, round(seconds / 2))):
            load(url, path, folder / "load.lua", 8, 2)
            most = max(most, memory(engine, identity))
    return rest, most


def nothing(engine: Any, base: str) -> float:
    """Seconds of a container that does nothing: the engine's own share."""
    began = time.perf_counter()
    made = engine.create_container(base, ["true"])
    engine.start(made["Id"])
    engine.wait(made["Id"])
    spent = time.perf_counter() - began
    engine.remove_container(made["Id"], force=True)
    return spent


def measure(repeats: int, seconds: float) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = evergreen_settings.load({**os.environ, "EVERGREEN_HOME": str(folder / "home")})
        engine = connect(settings)
        images = ServingImages(settings, engine)
        served = serving_model.make(folder)
        body = json.dumps({"dataframe_records": served.rows[:1]}).encode()
        found: dict[str, dict[str, float]] = {}
        for kind, (bundle, digest) in (("onnx", served.onnx), ("sklearn", served.sklearn)):
            built = images.version(
                bundle, model="bench", version=1, manifest_digest=digest, training_key="bench"
            )
            serving = engine.inspect_image(images.serving(kind))  # type: ignore[arg-type]
            base = images._local_base()  # noqa: SLF001 - the image that both stand on
            starts = [
                first_answer(engine, built.reference, digest, body) for _ in range(repeats + 1)
            ]
            rest, most = memories(engine, built.reference, digest, folder, body, seconds)
            found[kind] = {
                "start_s": statistics.median(starts[1:]),
                "nothing_s": statistics.median(nothing(engine, base) for _ in range(repeats)),
                "size_mb": (serving["Size"] - engine.inspect_image(base)["Size"]) / _MB,
                "rest_mb": rest,
                "load_mb": most,
            }
            engine.remove_image(built.reference, force=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.repeats, options.seconds)
    figures = []
    for name, goal in GOALS.items():
        for kind, seen in found.items():
            against = seen["nothing_s"] if name == "start_s" else goal
            met = seen[name] <= goal if kind == "onnx" else None
            figures.append(
                {
                    "name": f"{name}, {kind}",
                    "value": seen[name],
                    "unit": name.rpartition("_")[2],
                    "against": "an empty container" if name == "start_s" else "the goal",
                    "against_value": against,
                    "ratio": seen[name] / against,
                    "goal": goal if kind == "onnx" else None,
                    "met": met,
                }
            )
            word = {True: "met", False: "NOT MET", None: "no goal"}[met]
            print(f"{name:10} {kind:8} {seen[name]:8.2f}  goal {goal:g}: {word}")
    print(f"an empty container: {found['onnx']['nothing_s']:.2f} s")
    if options.json:
        options.json.write_text(json.dumps({"figures": figures}, indent=1))


if __name__ == "__main__":
    main()
