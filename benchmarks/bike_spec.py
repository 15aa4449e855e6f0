"""The shipped bike spec, made to measure: a search that spends exactly its seconds."""

from __future__ import annotations

from pathlib import Path

import yaml


def write_bike_spec(project: Path, folder: Path, model: str, *, seconds: int, runtime: str) -> None:
    """Write `<model>.yaml` into `folder`, after the spec that `project` ships."""
    shipped = project / "include" / "models" / "bike_demand.yaml"
    document = yaml.safe_load(shipped.read_text())
    document["model"] = model
    document["data"]["landing"] = f"landing/{model}"
    document["training"]["budget"] = {"trials": 10_000, "seconds": seconds, "workers": 1}
    document["monitoring"]["schedule"] = None
    document["deployment"] = {"runtime": runtime}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{model}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
