"""What the judge cannot see, verification stops, by the check named for it, while v1 serves.

A saboteur's list of checks is exact: all others passed. So each check has a saboteur that it alone
stops, and without it that one gets through.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from include.evergreen.errors import ArtifactRefused, VerificationFailed
from include.evergreen.stages.deploy.acceptance_kept import acceptance_table
from include.evergreen.stages.deploy.fetch_bundle import forget_bundles
from tests.sabotage.container_saboteurs import BY_NAME, SABOTEURS, pickle_inside
from tests.sabotage.container_side import (
    MODEL,
    Saboteur,
    Scene,
    forge,
    hollow,
)

#: The checks that alone stop a saboteur, which gets through without them.
LONE = {s.stopped_by[0] for s in SABOTEURS if len(s.stopped_by) == 1 and s.listens}


@pytest.mark.parametrize("name", BY_NAME)
def test_a_saboteur_gets_through_without_its_checks_and_is_stopped_by_them(
    served: Scene, name: str
) -> None:
    saboteur = BY_NAME[name]
    house, image = served.under(**saboteur.deployment), served.planted(saboteur)
    if saboteur.listens:
        served.started(saboteur, image)
        with hollow(*saboteur.stopped_by):
            assert house.verify(image).passed
    with pytest.raises(VerificationFailed) as stopped:
        house.verify(image)
    record = served.newest()
    failed = {check["name"]: check for check in record.checks if not check["passed"]}
    assert tuple(failed) == saboteur.stopped_by
    assert saboteur.seen in failed[saboteur.stopped_by[0]]["seen"]
    assert (record.state, record.reason) == ("failed", f"failed: {', '.join(saboteur.stopped_by)}")
    for check in saboteur.stopped_by:
        assert f"\n  {check}: " in str(stopped.value)


def test_every_check_alone_stops_a_saboteur_and_an_honest_version_none(
    served: Scene,
) -> None:
    proven = served.attempt(Saboteur("an honest version", ()))
    assert {check.name for check in proven.checks} == LONE
    served.leave(proven)


def test_a_miss_is_shown_side_by_side_and_only_shown_where_it_warns(
    served: Scene,
) -> None:
    """The champion's table is untouched by what came of the saboteur's."""
    resources, saboteur = served.house.resources, BY_NAME["learned from another's data"]
    with pytest.raises(VerificationFailed, match="0 of 2 as expected; 'a cold day is quiet'"):
        served.attempt(saboteur)
    table = acceptance_table(resources, served.candidate_of(saboteur).version)
    assert "**rides v" in table
    assert "0 of 2 acceptance examples as expected" in table
    assert "| a cold day is quiet | 0 to 125; below 'a warm day is busy' | " in table
    mine = acceptance_table(resources, served.champion.version)
    assert "**rides v1: 2 of 2 acceptance examples as expected.**" in mine
    warned = served.under(acceptance_mode="warn")
    proven = warned.verify(served.built(served.candidate_of(saboteur)))
    (check,) = [check for check in proven.checks if check.name == "acceptance"]
    assert check.seen.startswith("0 of 2 as expected (a warning only)")
    served.leave(proven)


def stored(scene: Scene, version: int) -> Path:
    """Where the registry keeps the bundle of a version."""
    info = scene.house.resources.registry.version_info(MODEL, version)
    (folder,) = [
        path.parent
        for path in scene.house.resources.settings.home.glob("mlflow/artifacts/**/manifest.json")
        if json.loads(path.read_bytes())["training_key"] == info.training_key
    ]
    return folder


def flip_a_byte(scene: Scene, bundle: Path) -> None:
    content = bytearray((bundle / "feature_plan.json").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "feature_plan.json").write_bytes(content)


def put_a_pickle_in(scene: Scene, bundle: Path) -> None:
    (bundle / "estimator.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")


def replay_the_version_before(scene: Scene, bundle: Path) -> None:
    shutil.rmtree(bundle)
    shutil.copytree(stored(scene, 1), bundle)


def forge_the_manifest(scene: Scene, bundle: Path) -> None:
    (bundle / "features.py").write_text("raise SystemExit('it ran')\n")
    forge(bundle)


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (flip_a_byte, "the sha256 of feature_plan.json is"),
        (put_a_pickle_in, "1 files are there or recorded but not both: 'estimator.pkl'"),
        (replay_the_version_before, "the manifest's sha256 is"),
        (forge_the_manifest, "the manifest's sha256 is"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_was_changed_in_the_registry_never_starts(
    served: Scene,
    tmp_path: Path,
    tamper,
    reason: str,
) -> None:
    bundle = stored(served, served.candidate.version)
    kept = shutil.copytree(bundle, tmp_path / "kept")
    forget_bundles(served.house.resources)
    tamper(served, bundle)
    try:
        with pytest.raises(ArtifactRefused, match=r"Nothing was\s+loaded"):
            served.house.build(served.candidate)
    finally:
        shutil.rmtree(bundle)
        shutil.copytree(kept, bundle)
    assert served.newest().state == "failed"
    assert reason in served.newest().reason


def test_a_pickle_that_training_recorded_never_starts(served: Scene) -> None:
    saboteur = Saboteur("a pickle inside", (), bundle=pickle_inside)
    with pytest.raises(ArtifactRefused, match=r"the manifest lists .*'estimator\.pkl'"):
        served.attempt(saboteur)
    assert "the manifest lists" in served.newest().reason


def test_what_was_changed_after_it_was_built_loads_nothing(served: Scene) -> None:
    image = served.built(served.candidate)
    with (Path(image.reference) / "bundle" / "features.py").open("a") as file:
        file.write("\n")
    with pytest.raises(VerificationFailed, match="healthy: it ended") as stopped:
        served.house.verify(image)
    assert "Nothing was loaded" in str(stopped.value)
    assert served.newest().reason == "failed: healthy"
