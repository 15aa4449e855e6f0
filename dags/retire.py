"""Takes a model out of service, for good or until somebody takes that back.

**Wakes on** nothing but a person: trigger it, with the model's name as the confirmation.
**Makes true:** nothing of the model answers, in production or staging; its last version has the
alias `retired`, and no other; requests that waited are answered; the journal has it. From then on
every task of the model's DAGs is skipped, whatever woke it, and a release that waits for approval
ends. Data, versions and images stay, as long as `maintain` keeps those of any model.

**Safe to clear and to trigger again:** it ends what is left. With *Undo* it lets the DAGs work
again: nothing answers until somebody runs `<model>.train`, or `<model>.release` with a version.

**When it fails:** clients may be answered still, and nothing new is begun. Clear it.
"""

import datetime as dt

from airflow.sdk.definitions.param import Param

from include.evergreen import dag_kit as kit
from include.evergreen.run_params import RetireParams

TIMEOUT = dt.timedelta(hours=1)
PARAMS: dict[str, Param] = {
    "confirm": Param(
        default="",
        type="string",
        maxLength=63,
        title="Confirm",
        description="The model's name, typed by hand: clients get no answer from it any more.",
    ),
    "reason": kit.reason_param(
        "Why nobody needs it; kept in the journal.",
    ),
    "undo": Param(
        default=False,
        type="boolean",
        title="Undo",
        description="Take a retirement back: the model's DAGs work again.",
    ),
}


@kit.task()
def retire_model(model: str) -> None:
    from include.evergreen.stages.release import retire

    form = kit.form(RetireParams)
    act = retire.take_back if form.undo else retire.retire
    act(
        kit.resources(model, even_retired=True),
        form.confirm,
        form.reason,
        asked_by=kit.person(),
        now=kit.now(),
    )


for spec in kit.specs():
    with kit.stage_dag(
        spec, "retire", wakes_on=None, cron=None, doc=__doc__, timeout=TIMEOUT, params=PARAMS
    ):
        retire_model(spec.model)
