"""What a person sees who is asked whether a version may be released.

Markdown, in which every text that came from rows, people or files is text: no HTML, no link, no
bar of a table. It is no template either; whoever shows it must not make it one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from include.evergreen.contracts import Candidate, GateResult, Judgement, Proposal, Question
from include.evergreen.errors import ArtifactRefused
from include.evergreen.policy.approving import deadline
from include.evergreen.stages.deploy.acceptance_kept import acceptance_table
from include.evergreen.stages.deploy.build import recorded_candidate
from include.evergreen.stages.deploy.records import last_live
from include.evergreen.stages.deploy.services import STAGING
from include.evergreen.stages.release.approval import answered, require_proposed, was_begun
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.card.markdown import link, unlinked

_LONGEST, _LONGEST_CELL = 500, 120
#: A longer word would not be wrapped, and make the whole page as wide as itself.
_LONG_WORD = re.compile(r"\S{41,}")


def question(resources: Resources, proposal: Proposal) -> Question | None:
    """What a person is asked; None where this very proposal was answered, or begun, before.

    Raises:
        NotApproved: it is not what is proposed: an answer would be to nothing.
    """
    if was_begun(resources, proposal) or answered(resources, proposal) is not None:
        return None
    require_proposed(resources, proposal)
    candidate = recorded_candidate(resources, proposal.version)
    training = resources.ledger.training(candidate.training_key)
    until = deadline(proposal, resources.spec.deployment.approval_rules.timeout_s)
    against = f"instead of v{proposal.replaces}" if proposal.replaces else "as the first version"
    why = f": {_text(proposal.reason)}" if proposal.reason else ""  # who asks by hand need not say
    parts = [
        f"**{proposal.model} v{proposal.version}** {against}{why}.",
        f"Not answered by {until:%Y-%m-%d %H:%M} UTC, it is not released.",
        *_judged(training.judgement if training else None, proposal.replaces),
        "### Checks in staging",
        _table(("check", "passed", "seen", "required"), _checks(resources, proposal.version)),
        *_acceptance(resources, proposal.version),
        "### More",
        "\n".join(f"- {line}" for line in _more(resources, candidate, proposal)),
    ]
    subject = f"Release {proposal.model} v{proposal.version} {against}?"
    return Question(subject, "\n\n".join(parts) + "\n")


def _judged(judgement: Judgement | None, replaces: int | None) -> Iterator[str]:
    """Scores and gates of the training that made the version."""
    yield "### Scores on the holdout"
    if judgement is None:
        yield "The ledger has no judgement of its training."
        return
    champion = judgement.champion_version
    if replaces and champion != replaces:
        judged = f"judged against v{champion}" if champion else "judged when there was no champion"
        yield f"**It was never compared with v{replaces}**: it was {judged}."
    named = {
        "proposed": judgement.challenger,
        f"champion v{champion}" if champion else "champion": judgement.champion,
        "baseline": judgement.baseline,
    }
    scores = [
        (who, score.metric, f"{score.value:.6g}", f"{score.n_rows:,}")
        for who, score in named.items()
        if score is not None
    ]
    yield _table(("model", "metric", "value", "rows"), scores)
    if judgement.improvement is not None:
        required = judgement.required_improvement
        yield f"Improvement {judgement.improvement:+.2%}, required {required:+.2%}."
    yield f"The judge: {_text(judgement.reason)}"
    yield "### Gates"
    yield _table(("gate", "verdict", "seen", "required"), map(_gate, judgement.gates))


def _gate(gate: GateResult) -> tuple[str, str, str, str]:
    verdict = "warned" if gate.verdict == "failed" and gate.mode == "warn" else gate.verdict
    return gate.name, verdict.replace("_", " "), gate.seen, gate.required


def _checks(resources: Resources, version: int) -> list[tuple[str, str, str, str]]:
    """Of the deployment by which the version proved itself in staging last."""
    record = last_live(resources.ledger, resources.model, STAGING, version)
    return [
        (check["name"], "yes" if check["passed"] else "no", check["seen"], check["required"])
        for check in (record.checks if record is not None else ())
    ]


def _acceptance(resources: Resources, version: int) -> Iterator[str]:
    """Expected and got side by side, where the domain's people gave examples."""
    yield "### Acceptance examples"
    try:
        yield acceptance_table(resources, version).strip()
    except ArtifactRefused as error:
        yield f"Not in the registry: {_text(str(error))}"


def _more(resources: Resources, candidate: Candidate, proposal: Proposal) -> Iterator[str]:
    try:
        tags = resources.registry.version_info(resources.model, proposal.version).tags
        run = resources.registry.run_url(candidate.run_id)
    except ArtifactRefused as error:
        yield f"Not in the registry: {_text(str(error))}"
        return
    card = tags.get("evergreen.model_card", "")
    yield link("Model card", card) if card else "This version has no model card."
    yield link("MLflow run", run)
    yield f"Image `{proposal.image.digest}`, training `{candidate.training_key}`"
    if proposal.asked_by:
        yield f"Asked for by {_text(proposal.asked_by)}"


def _text(value: str, longest: int = _LONGEST) -> str:
    cut = value if len(value) <= longest else f"{value[: longest - 3]}..."
    return unlinked(cut)


def _cell(value: str) -> str:
    """Text in a column that may be narrow: of a digest, say, the beginning only."""
    return _text(_LONG_WORD.sub(lambda word: f"{word[0][:16]}...", value), _LONGEST_CELL)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(_cell(str(value)) for value in row)} |" for row in rows]
    if not lines:
        return "None."
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines])
