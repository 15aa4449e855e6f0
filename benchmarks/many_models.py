"""Time a task spends on its own DAG file before it works: with 100 models, against 2.

Each side is a process of its own that has imported what the scheduler imports before it forks,
then loads `dags/train.py` as Airflow does inside a task (its dag id in the parsing context). The
third side is 100 models without that context: what a task would cost if it built every DAG.

    python benchmarks/many_models.py [--repeats 30] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
GOAL = 1.2

LOAD = """
import statistics, sys, time
from airflow.dag_processing.dagbag import BundleDagBag
import include.evergreen.dag_kit, include.evergreen.links, include.evergreen.assets
import airflow.providers.standard.decorators.python
path, bundle, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3])
seconds, dags = [], 0
for _ in range(repeats + 1):
    began = time.perf_counter()
    bag = BundleDagBag(dag_folder=path, safe_mode=False, load_op_links=False, bundle_path=bundle,
                       bundle_name="dags-folder")
    seconds.append(time.perf_counter() - began)
    dags = len(bag.dags)
    assert not bag.import_errors, bag.import_errors
print("measured", statistics.median(seconds[1:]), dags)
"""


def write_models(folder: Path, count: int) -> None:
    """`count` specs that differ in their names alone."""
    shipped = (PROJECT_ROOT / "include" / "models" / "bike_demand.yaml").read_text()
    folder.mkdir()
    examples = "bike_demand.acceptance.yaml"
    (folder / examples).write_text((PROJECT_ROOT / "include" / "models" / examples).read_text())
    for number in range(count):
        name = f"model_{number:03}"
        spec = shipped.replace("model: bike_demand", f"model: {name}")
        (folder / f"{name}.yaml").write_text(spec)


def load_s(models: Path, repeats: int, dag_id: str | None) -> tuple[float, int]:
    """Median seconds of a load, and how many DAGs it built."""
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT_ROOT),
        "EVERGREEN_MODELS_DIR": str(models),
        "AIRFLOW_HOME": str(models.parent / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
    }
    if dag_id is not None:  # as Airflow's task runner sets it
        environment["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = dag_id
        environment["_AIRFLOW_PARSING_CONTEXT_TASK_ID"] = "claim_requests"
    file = PROJECT_ROOT / "dags" / "train.py"
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(file), str(file.parent), str(repeats)],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    line = next(row for row in done.stdout.splitlines() if row.startswith("measured"))
    _, seconds, dags = line.split()
    return float(seconds), int(dags)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evergreen-many-") as directory:
        for count in (2, 100):
            write_models(Path(directory) / str(count), count)
        few, many = Path(directory) / "2", Path(directory) / "100"
        of_two, built_two = load_s(few, asked.repeats, "model_001.train")
        of_hundred, built = load_s(many, asked.repeats, "model_001.train")
        every, built_every = load_s(many, max(3, asked.repeats // 10), None)
    if (built_two, built, built_every) != (1, 1, 100):
        raise SystemExit(f"DAGs built: {built_two}, {built}, {built_every}; 1, 1, 100 expected")
    figures = [
        figure("a task's DAG file, 100 models", of_hundred, "2 models", of_two, GOAL),
        figure("the whole DAG file, 100 models", every, "a task's share of it", of_hundred, None),
    ]
    for entry in figures:
        met = {True: "met", False: "NOT met", None: ""}[entry["met"]]
        goal = "" if entry["goal"] is None else f"goal {entry['goal']} {met}"
        print(
            f"{entry['name']:32}{entry['value'] * 1000:8.1f} ms   {entry['against']:22}"
            f"{entry['against_value'] * 1000:8.1f} ms   ratio {entry['ratio']:.2f}   {goal}"
        )
    if asked.json:
        asked.json.write_text(json.dumps({"figures": figures}, indent=2) + "\n")


def figure(name: str, value: float, against: str, against_value: float, goal: float | None) -> dict:
    ratio = value / against_value
    return {
        "name": name,
        "value": value,
        "unit": "s",
        "against": against,
        "against_value": against_value,
        "ratio": ratio,
        "goal": goal,
        "met": None if goal is None else ratio <= goal,
    }


if __name__ == "__main__":
    main()
