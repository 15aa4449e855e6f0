"""The journal in plain words: what was decided, by whom, why, and what it rests on. Pure.

A line of a release is told with what came before it: the judgement of its training and who
approved it, so that the line alone says why a version is where it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from include.evergreen.contracts import JournalLink
from include.evergreen.policy.journal import contents

#: What happened, in words: `{to}` and `{from_}` are versions, or "no version".
_PHRASES = {
    "judged": "judged a challenger '{verdict}' (champion {from_})",
    "registered": "registered {to}, which beat {from_}",
    "staged": "staged {to} (was {from_})",
    "staging_failed": "did not stage {to} ({from_} stays)",
    "proposed": "proposed {to} (now {from_})",
    "approved": "approved {to}",
    "rejected": "rejected {to} ({from_} stays)",
    "expired": "let the proposal of {to} expire ({from_} stays)",
    "superseded": "superseded {to}",
    "released": "released {to} (was {from_})",
    "advanced": "went on with {to} (beside {from_})",
    "watched": "ended the watch over {to}",
    "aborted": "aborted {to} ({from_} stays)",
    "rolled_back": "rolled back to {to} (was {from_})",
    "rollback_failed": "did not roll back to {to} ({from_} stays)",
    "retired": "retired {from_}",
    "taken_back": "took the retirement back",
}
#: Kinds after which another version answers, and where.
_MOVES = {
    "staged": ("staging",),
    "released": ("production",),
    "rolled_back": ("production",),
    "retired": ("production", "staging"),
}
#: Kinds that are told with the judgement and the approval behind them.
_TOLD_WITH_ALL = frozenset({"staged", "proposed", "released", "rolled_back"})
_SHORT = 12
#: What is told of the version in production, in the words of somebody who asks why it is there.
_WHY = {
    "judged": "judged '{verdict}' against {from_}",
    "staged": "proved itself in staging",
    "approved": "approved",
    "advanced": "went on beside {from_}",
    "released": "released in place of {from_}",
    "watched": "its watch ended",
    "rolled_back": "put back in place of {from_}",
}
#: The same, where another version is what the entry makes answer.
_WHY_NOT = {"released": "replaced by {to}", "rolled_back": "rolled back to {to}"}


def tell(entries: Sequence[JournalLink]) -> list[str]:
    """A line an entry, in their order. Text from outside is told without its control characters."""
    said = [contents(entry.document) for entry in entries]
    return [
        _line(entry.number, here, said[:place])
        for place, (entry, here) in enumerate(zip(entries, said, strict=True))
    ]


def standing(entries: Sequence[JournalLink]) -> list[str]:
    """What answers where, by the journal, and the entry that says why."""
    place: dict[str, str] = {}
    for entry in entries:
        said = contents(entry.document)
        for where in _MOVES.get(str(said.get("kind")), ()):
            what = _version(said.get("to_version"))
            place[where] = f"In {where}: {what}, since #{entry.number} ({_minute(said)})."
    return [place[where] for where in sorted(place, reverse=True)]


def because(entries: Sequence[JournalLink]) -> list[str]:
    """Why the version in production is there: what was decided of it, in order, a line each.

    Of the steps of a strategy the last one is told. Nothing where nothing is in production.
    """
    said = [contents(entry.document) for entry in entries]
    moves = [one for one in said if "production" in _MOVES.get(str(one.get("kind")), ())]
    version = moves[-1].get("to_version") if moves else None
    if version is None:
        return []
    judged = _judged_as(version, said)
    about = [one for one in said if one is judged or _why(one, version)]
    told = [
        one
        for one, after in zip(about, [*about[1:], {}], strict=True)
        if not one.get("kind") == after.get("kind") == "advanced"
    ]
    return [f"Why {_version(version)} is in production:", *(_reason(one, version) for one in told)]


def _why(said: Mapping[str, Any], version: object) -> str:
    """What an entry says of a version, with places for the versions it names; '' for nothing."""
    kind = str(said.get("kind"))
    if kind != "judged" and said.get("to_version") == version:
        return _WHY.get(kind, "")
    return _WHY_NOT.get(kind, "") if said.get("from_version") == version else ""


def _reason(said: Mapping[str, Any], version: object) -> str:
    evidence = said.get("evidence") or {}
    phrase = (_why(said, version) or _WHY["judged"]).format(
        to=_version(said.get("to_version")),
        from_=_version(said.get("from_version")),
        verdict=evidence.get("verdict", "?"),
    )
    told = f"{_minute(said)} {phrase} by {_actor(said)}: {said.get('why')}"
    return printable(f"- #{said.get('number')} {told}")


def _line(number: int, said: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> str:
    kind, evidence = str(said.get("kind")), said.get("evidence") or {}
    phrase = _PHRASES.get(kind, f"{kind} {{to}}").format(
        to=_version(said.get("to_version")),
        from_=_version(said.get("from_version")),
        verdict=evidence.get("verdict", "?"),
    )
    parts = [f"{phrase} by {_actor(said)}: {said.get('why')}"]
    if kind in _TOLD_WITH_ALL:
        parts += _judged(said, before) + _approved(said, before)
    parts += _evidence(evidence, str(said.get("why"))) + _digests(said.get("digests") or {})
    if said.get("run"):
        parts.append(f"in {said['run']}")
    return printable(f"#{number} {_minute(said)} {'; '.join(parts)}")


def _judged(said: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> list[str]:
    """How the training of this version was judged."""
    judged = _judged_as(said.get("to_version"), before, or_of=said)
    return [f"judged (#{judged.get('number')}): {judged.get('why')}"] if judged else []


def _judged_as(
    version: object, entries: Sequence[Mapping[str, Any]], or_of: Mapping[str, Any] | None = None
) -> Mapping[str, Any] | None:
    """The judgement of the training that made a version; None where there is none."""
    registered: Mapping[str, Any] = _last(entries, "registered", version) or or_of or {}
    key = (registered.get("digests") or {}).get("training_key")
    found = None
    for earlier in entries:
        of_it = (earlier.get("digests") or {}).get("training_key") == key
        if key and of_it and earlier.get("kind") == "judged":
            found = earlier
    return found


def _approved(said: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> list[str]:
    approved = _last(before, "approved", said.get("to_version"))
    if approved is None:
        return []
    return [f"approved by {_actor(approved)} (#{approved.get('number')}): {approved.get('why')}"]


def _last(
    before: Sequence[Mapping[str, Any]], kind: str, version: object
) -> Mapping[str, Any] | None:
    """The newest earlier entry of a kind on a version; None where there is none."""
    of_it = (e for e in reversed(before) if (e.get("kind"), e.get("to_version")) == (kind, version))
    return next(of_it, None) if version is not None else None


def _evidence(evidence: Mapping[str, Any], why: str) -> list[str]:
    """Scores, gates and checks in a few words; a comment where it is not the reason itself."""
    parts = []
    scores = evidence.get("scores") or {}
    if scores:
        told = [f"{who} {s['metric']} {s['value']:.6g}" for who, s in scores.items()]
        parts.append(", ".join(told))
    for name, passed in (("gates", "verdict"), ("checks", "passed")):
        listed = evidence.get(name) or []
        failed = [str(one.get("name")) for one in listed if one.get(passed) in {"failed", False}]
        if listed:
            parts.append(f"{len(listed)} {name}, failed: {', '.join(failed) or 'none'}")
    if evidence.get("comment") and evidence["comment"] != why:
        parts.append(f'comment: "{evidence["comment"]}"')
    return parts


def _digests(digests: Mapping[str, str]) -> list[str]:
    names = {"training_key": "training"}
    return [
        f"{names.get(name, name)} {_shortened(digests[name])}"
        for name in ("training_key", "manifest", "image")
        if digests.get(name)
    ]


def _shortened(digest: str) -> str:
    kind, colon, rest = digest.rpartition(":")
    return f"{kind}{colon}{rest[:_SHORT]}"


def _actor(said: Mapping[str, Any]) -> str:
    actor = said.get("actor") or {}
    kind, name = actor.get("kind"), actor.get("name")
    return str(name) if kind == "person" else f"{kind} {name}"


def _version(version: object) -> str:
    return "no version" if version is None else f"v{version}"


def _minute(said: Mapping[str, Any]) -> str:
    try:
        return f"{dt.datetime.fromisoformat(str(said.get('at'))):%Y-%m-%d %H:%M}"
    except ValueError:
        return str(said.get("at"))


def printable(text: str) -> str:
    """A text of which a terminal shows every character, and obeys none."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
