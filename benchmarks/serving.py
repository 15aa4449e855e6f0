"""Requests a second and latency of the serving app, against what its users could have picked.

The peers are `mlflow models serve`, MLServer and BentoML, each with the same estimator and rows of
ready features, and an endpoint that does nothing, on the server that ours runs on. Ours checks raw
rows against the contract, computes the features, counts its metrics and keeps its prediction log.
All run as plain processes with one worker, one after the other in each round; `wrk` asks.

    python benchmarks/serving.py [--seconds 5] [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT_ROOT))

from benchmarks import serving_model, serving_peers  # noqa: E402
from benchmarks.serving_peers import Side  # noqa: E402

CONNECTIONS = (1, 8, 32)
ROWS = (1, 1_000)
OURS, EMPTY = "ours, ONNX", "empty endpoint"
#: The least that ours may be, as a multiple of a peer, by the rows of a request.
GOALS = {
    "mlflow models serve": {1: 50.0, 1_000: 5.0},
    "MLServer": {1: 1.0, 1_000: 1.0},
    "BentoML": {1: 1.0, 1_000: 1.0},
    EMPTY: {1: 0.6},
}
#: The most that the 99th percentile may be, as a multiple of the median.
P99_GOAL = 2.0
_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
"""
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}

Case = tuple[int, int]


@dataclass(frozen=True)
class Load:
    """What one run of wrk saw: answers a second, latencies in ms."""

    per_s: float
    p50_ms: float
    p99_ms: float


def load(url: str, body: Path, script: Path, connections: int, seconds: float) -> Load:
    """Ask with so many connections that each wait for their answer; every one must be a 200."""
    script.write_text(_SCRIPT.format(body=body))
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--latency"]
    command += ["--duration", f"{seconds:g}s", "--timeout", "30s", "--script", str(script), url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"{url} did not answer every request:\n{said}")
    per_s = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert per_s is not None, said
    return Load(float(per_s[1]), _percentile(said, "50%"), _percentile(said, "99%"))


def _percentile(said: str, name: str) -> float:
    found = re.search(rf"{name}\s+([\d.]+)(us|ms|s)\b", said)
    assert found is not None, said
    return float(found[1]) * _UNITS[found[2]]


def measure(
    side: Side, folder: Path, cases: list[Case], seconds: float, seen: dict[tuple[str, Case], list]
) -> None:
    with serving_peers.running(side, folder) as url:
        for case in cases:
            connections, rows = case
            body = folder / "body.json"
            body.write_bytes(side.body(rows))
            load(url, body, folder / "load.lua", connections, min(1.0, seconds))
            seen.setdefault((side.name, case), []).append(
                load(url, body, folder / "load.lua", connections, seconds)
            )


def median(loads: list[Load]) -> Load:
    return Load(*(statistics.median(values) for values in zip(*map(_numbers, loads), strict=True)))


def _numbers(seen: Load) -> tuple[float, float, float]:
    return seen.per_s, seen.p50_ms, seen.p99_ms


def figures(medians: dict[tuple[str, Case], Load], cases: list[Case]) -> list[dict]:
    """A figure for each comparison that has a goal, met or not."""
    found = []
    for case in cases:
        connections, rows = case
        ours = medians[OURS, case]
        for peer, goals in GOALS.items():
            if rows not in goals or (peer, case) not in medians:
                continue
            theirs = medians[peer, case].per_s
            ratio = ours.per_s / theirs
            found.append(
                _figure(
                    f"{rows} rows, {connections} connections",
                    "requests/s",
                    (ours.per_s, peer, theirs),
                    goals[rows],
                    met=ratio >= goals[rows],
                )
            )
        found.append(
            _figure(
                f"p99, {rows} rows, {connections} connections",
                "ms",
                (ours.p99_ms, "p50", ours.p50_ms),
                P99_GOAL,
                met=ours.p99_ms <= P99_GOAL * ours.p50_ms,
            )
        )
    return found


def _figure(
    name: str, unit: str, compared: tuple[float, str, float], goal: float, *, met: bool
) -> dict:
    value, against, theirs = compared
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "against": against,
        "against_value": theirs,
        "ratio": value / theirs,
        "goal": goal,
        "met": met,
    }


def show(medians: dict[tuple[str, Case], Load], found: list[dict]) -> None:
    print(f"\n{'':22} {'rows':>6} {'conns':>6} {'req/s':>10} {'p50 ms':>9} {'p99 ms':>9}")
    for (name, (connections, rows)), seen in sorted(
        medians.items(), key=lambda item: (item[0][1][1], item[0][1][0], -item[1].per_s)
    ):
        print(
            f"{name:22} {rows:6} {connections:6} {seen.per_s:10,.0f} {seen.p50_ms:9.2f} "
            f"{seen.p99_ms:9.2f}"
        )
    print()
    for figure in found:
        word = "met" if figure["met"] else "NOT MET"
        print(
            f"{figure['name']:34} {figure['ratio']:8.2f}x {figure['against']:20} "
            f"goal {figure['goal']:g}: {word}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of the sides to run; all by default")
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS)
    parser.add_argument("--peers", type=Path, default=PROJECT_ROOT / ".evergreen" / "peers")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("There is no wrk: apt-get install wrk.")
    cases = [(connections, rows) for rows in options.rows for connections in CONNECTIONS]
    seen: dict[tuple[str, Case], list] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        served = serving_model.make(folder)
        uv = Path(sys.executable).with_name("uv")
        if not options.only:
            serving_peers.install(options.peers, uv, list(serving_peers.PACKAGES))
        every = serving_peers.sides(served, folder, options.peers)
        chosen = [side for side in every if not options.only or side.name in options.only]
        for number in range(options.rounds):
            for side in chosen:
                print(f"round {number + 1}: {side.name}", flush=True)
                measure(side, folder, cases, options.seconds, seen)
    medians = {key: median(loads) for key, loads in seen.items()}
    found = figures(medians, cases) if (OURS, cases[0]) in medians else []
    show(medians, found)
    if options.json:
        options.json.write_text(json.dumps({"figures": found}, indent=1))


if __name__ == "__main__":
    main()
