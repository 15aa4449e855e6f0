"""The task that asks a person whether a version may be released.

It waits as Airflow's own human-in-the-loop task does, in `deferred` and holding no worker: answered
in the UI or over REST, by default "Reject" when the time is over. `ApprovalOperator` is not used:
it skips what follows a rejection, so that nobody would record it. Nor is the state
`awaiting_input`: only a person or the clock ends it, and a newer staged version has to.

Who may edit a run can write XComs and the state of tasks. So the page is made here, what it asks
about is kept with the wait itself, and the answer is written to the ledger where it arrives.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.hitl import HITLUser

from include.evergreen import dag_kit as kit
from include.evergreen.approval_trigger import ApprovalTrigger
from include.evergreen.contracts import Answer, Proposal
from include.evergreen.policy.approving import deadline

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

APPROVE, REJECT = "Approve", "Reject"
COMMENT = "comment"


class AskForApproval(HITLOperator):  # type: ignore[misc]  # untyped
    """A person's answer, or the clock's, stands in the ledger; nobody is asked what was answered.

    Returns the `Answer` as JSON, to be looked at; None where there was no question.

    Args:
        model: whose version it is.
        proposal: `Proposal` as JSON, of an earlier task.
        users: the ids of the Airflow users who may answer; empty: all who may answer any.
        wait_s: seconds after which the clock says no.
    """

    template_fields = ("proposal",)  # the page is none: its text stays text

    def __init__(
        self,
        *,
        model: str,
        proposal: Any,
        users: Sequence[str],
        wait_s: float,
        params: object = None,  # the DAG's form, which Airflow hands to every task: not asked here
        **kwargs: Any,
    ) -> None:
        del params
        comment = Param(
            None,
            type=["null", "string"],  # the form asks for a text alone, and takes no empty one
            maxLength=1000,
            title="Comment",
            description="Why; kept in the journal with your name.",
            source="task",
        )
        super().__init__(
            subject="Release a version?",
            options=[APPROVE, REJECT],
            defaults=REJECT,
            params={COMMENT: comment},
            assigned_users=[HITLUser(id=user, name=user) for user in users],
            response_timeout=dt.timedelta(seconds=wait_s),
            **kwargs,
        )
        self.model = model
        self.proposal = proposal

    def execute(self, context: Context) -> None:
        """Ask, and wait; nothing where there is no question."""
        from include.evergreen.stages.release import evidence

        resources, proposal = kit.resources(self.model), Proposal.from_json(self.proposal)
        asked = evidence.question(resources, proposal)
        if asked is None:
            return
        self.subject, self.body = asked.subject, asked.body
        try:
            super().execute(context)
        except TaskAwaitingInput:
            rules = resources.spec.deployment.approval_rules
            trigger = ApprovalTrigger(
                proposal=self.proposal,
                ti_id=context["task_instance"].id,
                options=self.options,
                defaults=self.defaults,
                params=self.serialized_params,
                timeout_datetime=deadline(proposal, rules.timeout_s),
            )
            kept = {"proposal": self.proposal}
            self.defer(trigger=trigger, method_name="execute_complete", kwargs=kept)

    def execute_complete(
        self, context: Context, event: dict[str, Any], proposal: dict[str, Any]
    ) -> dict[str, Any]:
        """The answer to what was asked is recorded. Only a name behind it makes it a person's."""
        from include.evergreen.stages.release import approval

        answer = super().execute_complete(context, event)
        person = answer["responded_by_user"]
        said = Answer(
            approves=answer["chosen_options"] == [APPROVE],
            person=(person["name"] or person["id"]) if person else "",
            person_id=person["id"] if person else "",
            comment=str(answer["params_input"].get(COMMENT) or "").strip() if person else "",
            at=answer["responded_at"].isoformat(),
        )
        approval.record_answer(
            kit.resources(self.model), Proposal.from_json(proposal), said, now=kit.now()
        )
        return said.as_json()
