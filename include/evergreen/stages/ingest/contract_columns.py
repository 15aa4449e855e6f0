"""What the contract of a model's files says, column by column, read from the spec."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from include.evergreen.spec import Column, FileLimits, ModelSpec
from include.evergreen.stages.ingest.read_values import Kind

FIRST_YEAR, LAST_YEAR = 1900, 2199
_WORDS: dict[Kind, str] = {
    "float": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "category": "a text",
    "integer_category": "a whole number",
    "timestamp": "an ISO 8601 time that exists in data.time_zone",
    "key": "a text",
}


@dataclass(frozen=True)
class ContractColumn:
    """One column: how it is read, and what may stand in it.

    `null_share` is the share of missing values a file may have, None where no row may miss it (or
    any may). `optional`: the file need not have the column at all.
    """

    name: str
    kind: Kind
    nullable: bool
    null_share: float | None = None
    optional: bool = False
    rules: Column | None = None
    max_length: int = FileLimits().max_text_length

    @property
    def is_category(self) -> bool:
        return self.kind in ("category", "integer_category")

    @property
    def takes_unseen(self) -> bool:
        """Whether a value that is not listed is taken, as a missing one."""
        return self.rules is not None and self.rules.unseen == "as_missing"

    @property
    def listed(self) -> tuple[str | int, ...] | None:
        """The only values allowed; None where any is."""
        return None if self.rules is None or self.takes_unseen else self.rules.values

    def reason(self, rule: str) -> str:
        """What is wrong with a value that broke `rule`."""
        said = {
            "type": f"should be {_WORDS[self.kind]}",
            "not_null": "is missing, and may not be",
            "finite": "is infinite, or beyond what a float32 holds",
            "length": f"is longer than {self.max_length:,} characters",
            "year": f"lies outside {FIRST_YEAR} to {LAST_YEAR}",
        }
        if self.rules is not None:
            said |= {"min": f"is below {self.rules.min}", "max": f"is above {self.rules.max}"}
            said["values"] = f"is none of {some([str(v) for v in self.rules.values or ()])}"
        return f"{self.name} {said[rule]}"


def contract_columns(spec: ModelSpec, kind: Literal["rows", "labels"]) -> list[ContractColumn]:
    """The columns of a model's rows, or of its late labels (key, target, and time if given)."""
    if kind == "labels":
        columns = list(_label_columns(spec))
    else:
        names = dict.fromkeys([spec.data.time, spec.data.key, *spec.data.columns])
        columns = [_row_column(spec, name) for name in names if name]
    longest = spec.data.limits.max_text_length
    return [dataclasses.replace(column, max_length=longest) for column in columns]


def _row_column(spec: ModelSpec, name: str) -> ContractColumn:
    data, rules = spec.data, spec.data.columns.get(name)
    if name == data.time:
        return ContractColumn(name, "timestamp", nullable=False, rules=rules)
    if rules is None or name == data.key:
        kind: Kind = "key" if rules is None else _kind(rules)
        return ContractColumn(name, kind, nullable=False, rules=rules)
    if name == data.target and data.labels is not None:
        return ContractColumn(name, _kind(rules), nullable=True, optional=True, rules=rules)
    may_miss = rules.max_null_share > 0
    return ContractColumn(
        name,
        _kind(rules),
        nullable=may_miss or rules.unseen == "as_missing",
        null_share=rules.max_null_share if may_miss else None,
        rules=rules,
    )


def _label_columns(spec: ModelSpec) -> Iterator[ContractColumn]:
    data = spec.data
    if data.labels is None or data.key is None:
        return
    key, target = _row_column(spec, data.key), data.columns[data.target]
    yield ContractColumn(data.labels.key, key.kind, nullable=False, rules=key.rules)
    yield ContractColumn(data.target, _kind(target), nullable=False, rules=target)
    if data.time and data.time not in (data.labels.key, data.key):
        yield ContractColumn(data.time, "timestamp", nullable=True, optional=True)


def _kind(rules: Column) -> Kind:
    if rules.type == "category" and rules.values and isinstance(rules.values[0], int):
        return "integer_category"
    return rules.type


def some(names: list[str]) -> str:
    """The first ten of a list, and the count of the rest."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""  # noqa: PLR2004
    return ", ".join(name[:80] for name in names[:10]) + more
