"""Nobody's version reaches production against the spec's word on who has to approve it."""

from __future__ import annotations

import datetime as dt
import logging

from include.evergreen.contracts import Answer, Proposal
from include.evergreen.errors import NotApproved
from include.evergreen.policy import approving
from include.evergreen.policy.releasing import SLACK
from include.evergreen.stages.deploy.services import PRODUCTION
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.journal import journal
from include.evergreen.stages.release.propose import superseded_by
from include.evergreen.stages.release.stand import stand_of
from include.evergreen.stages.release.words import PROPOSAL, last_word
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: In the details of a word: what was answered.
ANSWER = "answer"
#: For how long after a yes the next word is awaited.
_NEXT_WORD = 3 * SLACK


def approve(resources: Resources, proposal: Proposal, *, now: dt.datetime) -> bool:
    """Whether the release goes on; False where a newer staged version has taken its place.

    Raises:
        NotApproved: somebody has to approve it (deployment.approval), and nobody has.
    """
    if was_begun(resources, proposal):
        return True
    newer = superseded_by(resources.ledger, proposal)
    if newer is not None:
        journal(resources, "superseded", proposal, f"v{newer} is in staging now", now=now)
        return False
    if resources.spec.deployment.approval != "automatic":
        raise _nobody_has(proposal)
    why = "deployment.approval is automatic"
    journal(resources, "approved", proposal, why, now=now, until=now + _NEXT_WORD)
    return True


def was_begun(resources: Resources, proposal: Proposal) -> bool:
    """Whether this release was let into production before: it is gone on with, not asked for."""
    live = resources.ledger.deployment(resources.model, PRODUCTION)
    if rollout.is_live(live, proposal):
        return True  # of a release that was interrupted after its switch
    if stand_of(resources, proposal.version) is not None:
        return True  # before its strategy began, which goes on meanwhile
    word, decision = last_word(resources.ledger, proposal.model, proposal.version)
    ours = decision is not None and decision.details.get(PROPOSAL) == proposal.as_json()
    return ours and word in {"at_once", "releasing"}


def answered(resources: Resources, proposal: Proposal) -> Answer | None:
    """What was recorded as the answer to this very proposal; None before there is one."""
    _, decision = last_word(resources.ledger, proposal.model, proposal.version)
    if decision is None or decision.details.get(PROPOSAL) != proposal.as_json():
        return None
    found = decision.details.get(ANSWER)
    return Answer.from_json(found) if found else None


def record_answer(
    resources: Resources, proposal: Proposal, answer: Answer | None, *, now: dt.datetime
) -> str:
    """Why the release does not go on, for good in the journal; empty: somebody approved it.

    Recorded once, however often it is told; what was recorded first stands.

    Args:
        resources: of the model.
        proposal: what was asked about.
        answer: what came back; None where nobody had to be asked.
        now: the time.

    Raises:
        NotApproved: nobody was asked, and nobody had approved it before; or somebody answered who
            may not. Nothing is recorded then, and it can be asked again.
    """
    if was_begun(resources, proposal):
        return ""
    recorded = answered(resources, proposal)
    if recorded is not None:
        word, _ = last_word(resources.ledger, proposal.model, proposal.version)
        return "" if word == "approved" else f"v{proposal.version} is not released: {word}."
    if answer is None:
        raise _nobody_has(proposal)
    rules = resources.spec.deployment.approval_rules
    uncounted = approving.why_not_counted(answer, rules.users)
    if uncounted:
        raise NotApproved(
            f"{proposal.model} v{proposal.version} is not released: {uncounted}. Have one of them "
            "answer (clear 'ask_person'), or change the list."
        )
    newer = superseded_by(resources.ledger, proposal)
    word = approving.outcome(answer, newer)
    until = now + _NEXT_WORD if word == "approved" else None
    why = approving.why(word, answer, newer, rules.timeout_s)
    said = {"comment": answer.comment} if answer.comment else {}
    journal(
        resources, word, proposal, why, now=now, actor=approving.actor(word, answer), until=until,
        evidence={ANSWER: answer.as_json(), **said},
    )  # fmt: skip
    by = f" by {answer.person}" if answer.person and word != "superseded" else ""
    return "" if word == "approved" else f"v{proposal.version} is not released: {word}{by}, {why}."


def _nobody_has(proposal: Proposal) -> NotApproved:
    return NotApproved(
        f"{proposal.model} v{proposal.version} needs somebody's approval "
        "(deployment.approval: required), and nobody has given it."
    )
