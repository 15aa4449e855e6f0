"""What a card says in words, the same in HTML and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from include.evergreen.stages.training.card.evidence import cell, words
from include.evergreen.stages.training.card.svg import NOTHING, number

Card = Mapping[str, Any]
Pairs = list[tuple[str, str]]

#: Verdict of a gate -> its name for people, where it blocks.
_VERDICTS = {
    "passed": "passed",
    "failed": "failed",
    "off": "off",
    "not_applicable": "nothing to look at",
    "not_recorded": "not recorded",
}
GATES = {
    "champion": "Better than the champion",
    "baseline": "Better than the naive baseline",
    "floors": "Absolute floors",
    "slices": "Slices",
    "fairness": "Fairness by group",
    "calibration": "Calibration",
    "stability": "Stability under noise",
    "behaviour": "Behaviour tests",
    "leakage": "Leakage suspicion",
    "overfitting": "Overfitting",
    "size": "Model size",
    "latency": "Latency",
}
UNDECIDED = (
    "Not yet decided: nobody approved or rejected this version so far. What is decided is added "
    "here."
)
NEVER = "This challenger lost, so there is nothing to approve or release."


def title(card: Card) -> str:
    name = str(card["model"]["name"])
    return f"{name} v{card['version']}" if card["version"] else f"{name}, challenger"


def verdict(card: Card) -> str:
    return {"won": "won", "lost": "lost"}.get(card["judgement"]["verdict"], "not judged")


def against(card: Card) -> str:
    version = card["judgement"]["champion_version"]
    return f"champion v{version}" if version is not None else "the naive baseline (a first model)"


def gate_name(gate: Mapping[str, Any]) -> str:
    return GATES.get(gate["name"], words(gate["name"]).capitalize())


def gate_verdict(gate: Mapping[str, Any]) -> str:
    """`failed, blocks` and `failed, warns only` are different things, and look so."""
    said = _VERDICTS.get(gate["verdict"], words(gate["verdict"]))
    if gate["verdict"] == "failed":
        return f"{said}, {'blocks' if gate['mode'] == 'block' else 'warns only'}"
    if gate["mode"] == "warn" and gate["verdict"] != "off":
        return f"{said} (warns only)"
    return said


def gate_css(gate: Mapping[str, Any]) -> str:
    if gate["verdict"] == "failed":
        return "bad" if gate["mode"] == "block" else "warn"
    return {"passed": "good", "off": "off"}.get(gate["verdict"], "none")


def gates_in_short(card: Card) -> str:
    """How many passed, failed, and are off: in one line."""
    counts: dict[str, int] = {}
    for gate in card["gates"]:
        said = gate_verdict(gate)
        counts[said] = counts.get(said, 0) + 1
    return ", ".join(f"{n} {said}" for said, n in counts.items())


def metric_cell(value: Mapping[str, Any] | None) -> str:
    """A figure with its interval."""
    if value is None or value["value"] is None:
        return NOTHING
    said = number(value["value"], 4)
    if value["low"] is None:
        return said
    return f"{said} ({number(value['low'], 4)} to {number(value['high'], 4)})"


def period(card: Card) -> str:
    data = card["data"]
    if data["time"] is None:
        return f"batches {data['seen_from']} to {data['seen_until']}"
    return f"{_day(data['seen_from'])} to {_day(data['seen_until'])}"


def data_pairs(card: Card) -> Pairs:
    data, rows = card["data"], card["data"]["rows"]
    held = f" (from {_day(data['holdout_from'])})" if data["holdout_from"] else ""
    labels = data["labels_version"]
    pairs = [
        ("Rows in all", f"{rows.get('fitting', 0):,}, {period(card)}"),
        ("Learned from", f"{rows.get('train', 0):,}"),
        ("Held out", f"{rows.get('holdout', 0):,}{held}; seen by neither model"),
        ("Digest of the rows", data["rows_digest"]),
        ("Version of the table", str(data["data_version"])),
        (
            "Format, key, time",
            f"{data['format']}, {data['key'] or NOTHING}, {data['time'] or NOTHING}",
        ),
        ("Digest of the contract", data["contract_digest"]),
    ]
    if data["late_labels"]:
        pairs.insert(5, ("Version of the late labels", cell(labels)))
    return pairs


def contract_cell(column: Mapping[str, Any]) -> str:
    """What the contract allows in a column."""
    if column["values"] is not None:
        allowed = cell(column["values"])
    elif column["min"] is not None or column["max"] is not None:
        allowed = f"{cell(column['min'])} to {cell(column['max'])}"
    else:
        allowed = "any"
    nulls = column["max_null_share"]
    return f"{allowed}; {nulls:.1%} may be missing" if nulls else allowed


def recipe_pairs(card: Card) -> Pairs:
    recipe, trials = card["recipe"], card["recipe"]["trials"]
    libraries = ", ".join(f"{name} {found}" for name, found in recipe["libraries"].items())
    searched = (
        f"{trials['complete']} trials completed, {trials['pruned']} pruned, "
        f"{trials['failed']} failed, in {number(recipe['seconds'])} s; "
        f"{recipe['folds']} folds, seed {recipe['seed']}"
    )
    because = f" ({recipe['served_because']})" if recipe["served_because"] else ""
    return [
        ("Estimator", recipe["estimator"]),
        *((words(name), cell(value)) for name, value in recipe["params"].items()),
        ("Features", cell(recipe["features"]) or "the raw columns"),
        ("Search", searched),
        ("Validation score", number(recipe["validation_score"], 5)),
        ("Served as", f"{recipe['served_as']}{because}"),
        ("Fitted with", f"Python {recipe['python']}, {libraries}"),
    ]


def lineage_pairs(card: Card) -> Pairs:
    lineage = card["lineage"]
    asked = [
        f"request {r['id']}: {words(r['reason'])}, {r['cause']}, on {_when(r['at'])}"
        + (f" ({cell(r['details'])})" if r["details"] else "")
        for r in lineage["asked_by"]
    ]
    registered = lineage["registered_bundle"]
    return [
        ("Asked for by", "; ".join(asked) or words(lineage["reason"])),
        (
            "Trained by",
            f"{lineage['opened_by'] or NOTHING}, opened on {_when(lineage['opened_at'])}",
        ),
        ("Judged against", against(card)),
        ("Training key", lineage["training_key"]),
        ("Digest of the rows", lineage["rows_digest"]),
        ("Digest of the spec", lineage["spec_digest"]),
        ("Digest of the code", lineage["code_digest"]),
        ("Version of the data", cell(lineage["data_version"])),
        ("Judged bundle", lineage["judged_bundle"]),
        ("Registered bundle", registered or "none"),
        ("MLflow run", lineage["run_id"]),
    ]


def decision_cells(entry: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """When, what, by whom and why."""
    version = f" v{entry['version']}" if entry["version"] is not None else ""
    who = entry["by"] if entry["by_kind"] == "person" else f"{entry['by']} (the {entry['by_kind']})"
    details = cell(entry["details"]) if entry["details"] else ""
    why = "; ".join(part for part in (entry["why"], details) if part)
    return _when(entry["at"]), f"{words(entry['what'])}{version}", who, why or NOTHING


def explained(card: Card) -> str:
    found = card["explanation"]
    if not found["computed"]:
        return f"Not computed: {found['why_not']}."
    mean = "" if found["classes"] == 1 else f", as a mean over {found['classes']} classes"
    return (
        f"Mean |SHAP| of each column, in units of the answer ({found['unit']}){mean}: how far a "
        f"column moves {found['of']} from {number(found['base'], 4)}, the mean answer. "
        f"{found['rows']:,} rows ({found['rows_learned']:,} of them learned from) against "
        f"{found['background']} drawn by chance; the model itself was asked "
        f"{found['evaluations']:,} times, on raw columns. It says what the answers rest on, not "
        "what causes what."
    )


def _day(moment: str) -> str:
    return str(moment)[:10]


def _when(moment: str | None) -> str:
    return f"{str(moment)[:16].replace('T', ' ')} UTC" if moment else NOTHING
