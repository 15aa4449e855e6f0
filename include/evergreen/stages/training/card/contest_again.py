"""The contest as the judge saw it, put together again from what a training left.

The training's own folder may be gone by now (registering and losing both forget it), so the
challenger comes from its MLflow run; the rows are those that were frozen.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from include.evergreen.contracts import Fitted, Judgement, Snapshot
from include.evergreen.errors import LedgerConflict
from include.evergreen.stages.bundle import load_predictor
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.contenders import answer_of, load_champion, naive_answer
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.frozen_rows import unseen_by
from include.evergreen.stages.training.scoring import Prediction


def contest_again(
    resources: Resources, snapshot: Snapshot, fitted: Fitted, judgement: Judgement, folder: Path
) -> Contest:
    """Challenger, champion and baseline on the rows they were judged on.

    Args:
        resources: lake, registry, ledger and spec.
        snapshot: of the training.
        fitted: the challenger.
        judgement: names the champion that it was judged against, whoever is champion now.
        folder: where the challenger's bundle is put.

    Raises:
        NotInLake: the frozen rows were cleared away.
        ArtifactRefused: a bundle is not what was recorded when it was made.
        LedgerConflict: the rows are not as many as were judged on.
    """
    model, key = snapshot.model, snapshot.key
    train = resources.lake.get_part(model, key, "train")
    holdout = resources.lake.get_part(model, key, "holdout")
    version = judgement.champion_version
    if version is not None and version != snapshot.champion_version:
        holdout = unseen_by(holdout, resources.spec, _seen_until(resources, version))
    judged = judgement.challenger.n_rows if judgement.challenger else holdout.height
    if holdout.height != judged:
        raise LedgerConflict(
            f"Training {key[:12]} of {model} was judged on {judged:,} rows, and {holdout.height:,} "
            "are found of them now: the card would show other figures than the judge's. See "
            "whether somebody changed the snapshot in the lake."
        )
    bundle = resources.registry.download_folder(fitted.run_id, fitted.bundle_path, folder)
    challenger = load_predictor(bundle, fitted.manifest_digest)
    answers: dict[str, Prediction] = {"baseline": naive_answer(resources.spec, train, holdout)}
    if version is not None:
        answers["champion"] = answer_of(load_champion(resources, version), holdout)
    contest = Contest(resources.spec, train, holdout, challenger, bundle, answers, version)
    answers = {"challenger": contest.ask(holdout), **answers}
    return dataclasses.replace(contest, answers=answers)


def _seen_until(resources: Resources, version: int) -> str:
    snapshot = resources.ledger.snapshot_of_version(resources.model, version)
    if snapshot is not None:
        return snapshot.seen_until
    return resources.registry.version_info(resources.model, version).seen_until
