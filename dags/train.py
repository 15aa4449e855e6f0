"""Trains a challenger for everything that asks for one, and registers it only if it wins.

**Wakes on** `<model>.data_ingested`, `<model>.retrain_requested`, the cron of `retrain.schedule`,
by hand, or `<model>.request_waiting`: a request whose event was lost, or whose cooldown or budget
is over. Whatever woke it, it reads *all* pending requests from the ledger, and one policy decides.
A "no" is a skipped run; the XCom `why` of `claim_requests` says the reason and until when.
**Makes true** `<model>.candidate_registered`, when the challenger beat the champion on rows
that neither has seen.

**Safe to clear and to trigger at any time:** the same rows, spec and code are trained once.

**When it fails:** the champion goes on serving and the requests stay pending; the next run
resumes them. A challenger that lost is a green run, its reason in the log of `judge_challenger`.
It can wait until morning. Where only `write_model_card` failed, the version is registered and goes
on without it; clear the task to get the card.
"""

import datetime as dt
from typing import Any

from airflow.sdk.definitions.param import Param

from include.evergreen import assets, links
from include.evergreen import dag_kit as kit

TIMEOUT = dt.timedelta(hours=12)
PARAMS: dict[str, Param] = {
    "reason": kit.reason_param(
        "Why this training is wanted; recorded with it.",
    ),
    "trials": Param(
        default=None,
        type=["null", "integer"],
        minimum=1,
        maximum=10_000,
        title="Budget: trials",
        description="At most this many trials, instead of the spec's training.budget.trials.",
    ),
    "seconds": Param(
        default=None,
        type=["null", "integer"],
        minimum=1,
        maximum=86_400,
        title="Budget: seconds",
        description="At most this long a search, instead of the spec's training.budget.seconds.",
    ),
    "force": Param(
        default=False,
        type="boolean",
        title="Force",
        description="Train even if nothing is pending or these rows were trained on before. "
        "The judge and its gates are never skipped.",
    ),
}


@kit.task()
def claim_requests(model: str) -> dict[str, Any]:
    from include.evergreen.stages.training import claim, waiting

    resources, now = kit.resources(model), kit.now()
    wanted = claim.Wanted.from_conf(kit.params(), run_id=kit.run_id(), run_type=kit.run_type())
    claimed = claim.claim_requests(resources, wanted, now=now)
    if claimed is None:
        raise kit.nothing_to_do(kit.show("why", waiting.why_not(resources.ledger, model, now)))
    return claimed.as_json()


@kit.task()
def freeze_snapshot(model: str, claimed: dict[str, Any]) -> dict[str, Any]:
    from include.evergreen.contracts import Claim
    from include.evergreen.stages.training import freeze

    snapshot = freeze.freeze_snapshot(kit.resources(model), Claim.from_json(claimed), now=kit.now())
    if snapshot is None:
        raise kit.nothing_to_do("Not yet, or trained already; the reason is in the decisions.")
    return snapshot.as_json()


@kit.task(pool=kit.TRAINING_POOL, map_index_template="worker {{ task.op_kwargs['worker'] }}")
def run_trials(model: str, snapshot: dict[str, Any], worker: int) -> dict[str, Any]:
    from include.evergreen.contracts import Snapshot
    from include.evergreen.stages.training import tune

    return tune.run_worker(kit.resources(model), Snapshot.from_json(snapshot), worker)


@kit.task(links.RunLink, pool=kit.TRAINING_POOL)
def fit_challenger(model: str, snapshot: dict[str, Any]) -> dict[str, Any]:
    from include.evergreen.contracts import Snapshot
    from include.evergreen.stages.training import fit

    resources = kit.resources(model)
    fitted = fit.fit_challenger(resources, Snapshot.from_json(snapshot))
    links.show(links.RunLink, resources.registry.run_url(fitted.run_id))
    return fitted.as_json()


@kit.task(links.RunLink, links.CardLink)
def judge_challenger(
    model: str, snapshot: dict[str, Any], fitted: dict[str, Any]
) -> dict[str, Any]:
    from include.evergreen.contracts import Fitted, Snapshot
    from include.evergreen.stages.training import judge
    from include.evergreen.stages.training.card import kept

    resources, challenger = kit.resources(model), Fitted.from_json(fitted)
    links.show(links.RunLink, resources.registry.run_url(challenger.run_id))
    links.show(links.CardLink, kept.card_url(resources, challenger.run_id))
    judged = judge.judge_challenger(resources, Snapshot.from_json(snapshot), challenger)
    return judged.as_json()


@kit.task(links.RunLink, links.CardLink, pool=kit.TRAINING_POOL)
def register_candidate(
    model: str, snapshot: dict[str, Any], fitted: dict[str, Any], judged: dict[str, Any]
) -> dict[str, Any]:
    from include.evergreen.contracts import Fitted, Judgement, Snapshot
    from include.evergreen.stages.training import register
    from include.evergreen.stages.training.card import kept

    resources, challenger = kit.resources(model), Fitted.from_json(fitted)
    links.show(links.RunLink, resources.registry.run_url(challenger.run_id))
    links.show(links.CardLink, kept.card_url(resources, challenger.run_id))
    candidate = register.register_candidate(
        resources, Snapshot.from_json(snapshot), challenger, Judgement.from_json(judged)
    )
    if candidate is None:
        raise kit.nothing_to_do(f"Not registered: {judged['reason']}")
    return candidate.as_json()


@kit.task(
    links.CardLink,
    pool=kit.TRAINING_POOL,
    trigger_rule="none_failed_min_one_success",  # a lost challenger has a card, too
)
def write_model_card(
    model: str, snapshot: dict[str, Any], fitted: dict[str, Any], judged: dict[str, Any]
) -> str:
    from include.evergreen.contracts import Fitted, Judgement, Snapshot
    from include.evergreen.stages.training.card import write_card

    resources, challenger = kit.resources(model), Fitted.from_json(fitted)
    url = write_card.write_card(
        resources, Snapshot.from_json(snapshot), challenger, Judgement.from_json(judged)
    )
    if url is None:
        raise kit.nothing_to_do(f"Not judged yet: {judged['reason']}")
    links.show(links.CardLink, url)
    return url


for spec in kit.specs():
    name = spec.model
    with kit.stage_dag(
        spec,
        "train",
        wakes_on=assets.data_ingested(name)
        | assets.retrain_requested(name)
        | assets.request_waiting(name),
        cron=spec.retrain.schedule,
        doc=__doc__,
        timeout=TIMEOUT,
        params=PARAMS,
    ):
        frozen = freeze_snapshot(name, claim_requests(name))
        trials = run_trials.partial(model=name, snapshot=frozen).expand(
            worker=list(range(spec.training.budget.workers))
        )
        fitted = fit_challenger(name, frozen)
        trials >> fitted
        judged = judge_challenger(name, frozen, fitted)
        registered = register_candidate.override(outlets=[assets.candidate_registered(name)])(
            name, frozen, fitted, judged
        )
        registered >> write_model_card(name, frozen, fitted, judged)
