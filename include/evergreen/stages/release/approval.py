"""Nobody's version reaches production against the spec's word on who has to approve it.

The word is in the ledger, of this very proposal, and is looked up there under the lease by whatever
starts a version in production or sends requests to it. What tasks hand each other, and in which
state they are, lets nothing in: who may edit a run can change both.
"""

from __future__ import annotations

import datetime as dt
import logging

from include.evergreen.adapters.ledger import Decision
from include.evergreen.contracts import Answer, Proposal
from include.evergreen.errors import NotApproved
from include.evergreen.policy import approving
from include.evergreen.policy.releasing import SLACK, Word
from include.evergreen.stages.deploy.records import last_live
from include.evergreen.stages.deploy.services import PRODUCTION
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.journal import journal
from include.evergreen.stages.release.propose import superseded_by
from include.evergreen.stages.release.retired import why_retired
from include.evergreen.stages.release.stand import stand_of
from include.evergreen.stages.release.words import PROPOSAL, last_word, why_of
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: In the details of a word: what was answered.
ANSWER = "answer"
#: Words after which a release is on its way into production.
_LET_IN: frozenset[Word] = frozenset({"approved", "shifting", "at_once", "releasing"})


def approve(resources: Resources, proposal: Proposal, *, now: dt.datetime) -> bool:
    """Whether the release goes on; False where a newer staged version has taken its place.

    Raises:
        NotApproved: somebody has to approve it (deployment.approval), and nobody has; or it is
            not what is proposed.
    """
    if was_begun(resources, proposal):
        return True
    newer = superseded_by(resources.ledger, proposal)
    if newer is not None:
        journal(resources, "superseded", proposal, f"v{newer} is in staging now", now=now)
        return False
    if resources.spec.deployment.approval != "automatic":
        raise _nobody_has(proposal)
    if _word_on(resources, proposal) != "approved":
        require_proposed(resources, proposal)
        why = "deployment.approval is automatic"
        journal(resources, "approved", proposal, why, now=now, until=now + SLACK)
    return True


def require_approval(resources: Resources, proposal: Proposal) -> None:
    """This very proposal was let into production, and its model is not retired; under the lease.

    What answers there already needs no word: nothing is moved.

    Raises:
        NotApproved: it was not, or is not any more.
    """
    who, again = f"{proposal.model} v{proposal.version}", f"{proposal.model}.release"
    retired = why_retired(resources.ledger, resources.model)
    if retired:
        raise NotApproved(
            f"{who} is not brought into production: {proposal.model} is retired ({retired}). "
            f"{proposal.model}.retire takes that back: 'undo'."
        )
    live = resources.ledger.deployment(resources.model, PRODUCTION)
    if rollout.is_live(live, proposal):
        return
    if _is_spent(resources, proposal):
        raise NotApproved(
            f"{who} went live by this very proposal, and was taken out of production since: a yes "
            f"is good for once. If it is wanted again, run {again} with version "
            f"{proposal.version}."
        )
    if _word_on(resources, proposal) not in _LET_IN:
        raise NotApproved(
            f"{who} is not brought into production: the ledger's last word on it is "
            f"{_told(resources, proposal)}, and 'approved' of this very proposal is required, "
            f"whatever the tasks of this run say. If it is wanted, run {again} with version "
            f"{proposal.version}, and have it approved there."
        )


def _is_spent(resources: Resources, proposal: Proposal) -> bool:
    """Whether its version went live since it was made; it does not answer by now."""
    last = last_live(resources.ledger, resources.model, PRODUCTION, proposal.version)
    return last is not None and last.id > (proposal.after or 0)


def require_proposed(resources: Resources, proposal: Proposal) -> None:
    """This very proposal is the last that was said of its version: it may be answered.

    Raises:
        NotApproved: it was answered, is over, or was never made.
    """
    if _word_on(resources, proposal) != "proposed":
        raise NotApproved(
            f"{proposal.model} v{proposal.version} is not what is proposed: the ledger's last word "
            f"on it is {_told(resources, proposal)}, and 'proposed' with this very proposal is "
            f"required. Nothing was recorded. If it is wanted, run {proposal.model}.release with "
            f"version {proposal.version}."
        )


def _word_on(resources: Resources, proposal: Proposal) -> Word | None:
    """The last word on a version, if it is of this very proposal; else None."""
    return _said_of(resources, proposal)[0]


def _said_of(resources: Resources, proposal: Proposal) -> tuple[Word | None, Decision | None]:
    word, decision = last_word(resources.ledger, resources.model, proposal.version)
    ours = decision is not None and decision.details.get(PROPOSAL) == proposal.as_json()
    return (word, decision) if ours else (None, None)


def _told(resources: Resources, proposal: Proposal) -> str:
    word, _ = last_word(resources.ledger, resources.model, proposal.version)
    if word is None:
        return "none"
    ours = _word_on(resources, proposal) is not None
    return f"'{word}'" if ours else f"'{word}', not of this proposal"


def was_begun(resources: Resources, proposal: Proposal) -> bool:
    """Whether this release was let into production before: it is gone on with, not asked for."""
    live = resources.ledger.deployment(resources.model, PRODUCTION)
    if rollout.is_live(live, proposal):
        return True  # of a release that was interrupted after its switch
    if stand_of(resources, proposal.version) is not None:
        return True  # before its strategy began, which goes on meanwhile
    return _word_on(resources, proposal) in {"at_once", "releasing"}


def answered(resources: Resources, proposal: Proposal) -> Answer | None:
    """What was recorded as the answer to this very proposal; None before there is one."""
    _, decision = _said_of(resources, proposal)
    found = decision.details.get(ANSWER) if decision is not None else None
    return Answer.from_json(found) if found else None


def record_answer(
    resources: Resources, proposal: Proposal, answer: Answer, *, now: dt.datetime
) -> str:
    """Why the release does not go on, for good in the journal; empty: somebody approved it.

    Recorded once, however often it is told; what was recorded first stands.

    Args:
        resources: of the model.
        proposal: what was asked about.
        answer: what came back.
        now: the time.

    Raises:
        NotApproved: it is not what is proposed; or somebody answered who may not. Nothing is
            recorded then, and it can be asked again.
    """
    if was_begun(resources, proposal) or answered(resources, proposal) is not None:
        return why_not_approved(resources, proposal)
    require_proposed(resources, proposal)
    rules = resources.spec.deployment.approval_rules
    uncounted = approving.why_not_counted(answer, rules.users)
    if uncounted:
        raise NotApproved(
            f"{proposal.model} v{proposal.version} is not released: {uncounted}. Have one of them "
            "answer (clear 'ask_person'), or change the list."
        )
    newer = superseded_by(resources.ledger, proposal)
    word = approving.outcome(answer, newer, approving.deadline(proposal, rules.timeout_s))
    until = now + SLACK if word == "approved" else None
    why = approving.why(word, answer, newer, rules.timeout_s)
    said = {"comment": answer.comment} if answer.comment else {}
    journal(
        resources, word, proposal, why, now=now, actor=approving.actor(word, answer), until=until,
        evidence={ANSWER: answer.as_json(), **said},
    )  # fmt: skip
    return why_not_approved(resources, proposal)


def why_not_approved(resources: Resources, proposal: Proposal) -> str:
    """Why the release does not go on, as the ledger has it; empty: it was approved, or begun.

    Raises:
        NotApproved: nobody has answered to this very proposal.
    """
    if was_begun(resources, proposal):
        return ""
    answer = answered(resources, proposal)
    if answer is None:
        raise _nobody_has(proposal)
    word, decision = last_word(resources.ledger, resources.model, proposal.version)
    by = f" by {answer.person}" if word == "rejected" else ""
    why_not = f"v{proposal.version} is not released: {word}{by}, {why_of(decision)}."
    return "" if word == "approved" else why_not


def _nobody_has(proposal: Proposal) -> NotApproved:
    return NotApproved(
        f"{proposal.model} v{proposal.version} needs somebody's approval "
        "(deployment.approval: required), and the ledger has nobody's. Clear 'ask_person' to ask."
    )
