"""A version's bundle on this machine's disk, file for file what its manifest says, or a refusal.

Nothing in it is imported or loaded here, and nothing is before these checks.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from include.evergreen.adapters.runtime import Environment
from include.evergreen.effects import effect
from include.evergreen.errors import ArtifactRefused
from include.evergreen.model_code import predictor
from include.evergreen.stages.deploy.services import STAGING
from include.evergreen.stages.resources import Resources


def fetch_bundle(
    resources: Resources, version: int, manifest_digest: str, environment: Environment = STAGING
) -> Path:
    """The folder of a version's bundle, downloaded once and checked every time.

    Each environment has a folder of its own: who forgets the bundles of one takes none from under
    the hands of who proves a version in the other.

    Raises:
        ArtifactRefused: a file is missing, added, changed, linked or too large, or the manifest is
            not the one recorded when the version was registered.
    """
    folder = _bundles(resources, environment) / f"v{version}-{manifest_digest[:12]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as name:
            fetched = resources.registry.download_bundle(resources.model, version, Path(name))
            _check(fetched, manifest_digest)
            if not folder.is_dir():
                _put_in_place(fetched, folder)
    _check(folder, manifest_digest)
    return folder


@effect
def forget_bundles(
    resources: Resources, environment: Environment = STAGING, *, keep: Collection[int] = ()
) -> None:
    """Free the disk: the image holds a copy, and the registry the original.

    Those of the versions in `keep` stay: to prove them again needs no registry.
    """
    kept = tuple(f"v{version}-" for version in keep)
    for folder in _bundles(resources, environment).glob("v*"):
        if not folder.name.startswith(kept):
            shutil.rmtree(folder, ignore_errors=True)


@effect
def _put_in_place(fetched: Path, folder: Path) -> None:
    fetched.rename(folder)


def _bundles(resources: Resources, environment: Environment) -> Path:
    folder = resources.settings.work_dir / "bundles" / resources.model
    return folder if environment == STAGING else folder / environment


def _check(folder: Path, manifest_digest: str) -> None:
    try:
        predictor.read_checked(folder, manifest_digest)
    except predictor.BundleRefused as error:
        shutil.rmtree(folder, ignore_errors=True)  # the next try fetches it anew
        raise ArtifactRefused(str(error)) from error
