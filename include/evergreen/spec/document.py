"""Reads one YAML file into plain values and the line of each, and nothing that could do harm.

The file must be a regular one of at most `MAX_BYTES`. Tags, aliases, duplicate keys, deep nesting
and second documents are refused on the event stream, before anything is built, so a bomb never
expands. Scalars follow the YAML 1.2 core schema: `yes`, `no`, `on` and dates stay text, and keys
are always text.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from include.evergreen.errors import SpecError

MAX_BYTES = 512 * 1024
MAX_DEPTH = 12
MAX_NODES = 50_000
MAX_NUMBER_LENGTH = 40

Location = tuple[str | int, ...]

_CORE_SCHEMA = (
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:int", r"^[-+]?[0-9]+$", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"^(?:[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf)|\.(?:nan|NaN))$",
        "-+.0123456789",
    ),
)
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _CoreLoader(_Base):  # type: ignore[misc]
    """A SafeLoader with the YAML 1.2 core schema in place of the 1.1 one."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in _CORE_SCHEMA:
    _CoreLoader.add_implicit_resolver(
        _tag, re.compile(_pattern, re.ASCII), ["" if c == "\0" else c for c in _first]
    )


@dataclass(frozen=True)
class Document:
    """The content of one YAML file, and the line (from 1) on which each key or item stands.

    `digest` is the sha256 (hex) of the file's bytes; empty for a text that was in no file.
    """

    name: str
    content: Any
    lines: dict[Location, int]
    digest: str = ""

    def line_of(self, location: Location) -> int:
        """The line of a location, or of the nearest one above it that stands in the file."""
        for length in range(len(location), 0, -1):
            if location[:length] in self.lines:
                return self.lines[location[:length]]
        return 1


def read_document(path: Path, name: str) -> Document:
    """Read a file of our own kind; SpecError if it cannot be read, is too large or no such YAML."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SpecError(f"{name} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SpecError(f"{name} is no regular file.")
    with os.fdopen(descriptor, "rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise SpecError(f"{name} is larger than {MAX_BYTES:,} bytes, the most a spec may have.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"{name} is not UTF-8 text (byte {error.start}).") from error
    document = parse_document(text, name)
    return dataclasses.replace(document, digest=hashlib.sha256(raw).hexdigest())


def parse_document(text: str, name: str) -> Document:
    """Build a `Document` from YAML text, once its events were found harmless."""
    try:
        _refuse_dangerous(text, name)
        node = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise SpecError(f"{name}, line {line}: not YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{name} is not YAML: {' '.join(str(error).split())}.") from error
    lines: dict[Location, int] = {}
    content = None if node is None else _build(node, (), lines, name)
    return Document(name, content, lines)


def _refuse_dangerous(text: str, name: str) -> None:
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=_CoreLoader):
        where = f"{name}, line {_line(event)}"
        if isinstance(event, yaml.AliasEvent):
            raise SpecError(f"{where}: aliases are not allowed in a spec. Write the value out.")
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
            _refuse_tag(event, where)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > MAX_DEPTH:
            raise SpecError(f"{where}: nested deeper than {MAX_DEPTH} levels.")
        if nodes > MAX_NODES:
            raise SpecError(f"{where}: more than {MAX_NODES:,} values.")
        if documents > 1:
            raise SpecError(f"{where}: a second document. One file holds one model.")


def _refuse_tag(event: yaml.NodeEvent, where: str) -> None:
    if event.anchor is not None:
        raise SpecError(f"{where}: anchors are not allowed in a spec. Write the value out.")
    if getattr(event, "tag", None) is not None:
        tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")[:60]  # type: ignore[attr-defined]
        raise SpecError(f"{where}: the tag {tag!r} is not allowed. A spec is plain YAML.")


def _line(event: yaml.Event | yaml.Node) -> int:
    mark = event.start_mark
    return mark.line + 1 if mark is not None else 1


def _build(node: yaml.Node, at: Location, lines: dict[Location, int], name: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise SpecError(f"{name}, line {line}: a key must be a plain word.")
            key = str(key_node.value)
            if key in mapping:
                first = lines[(*at, key)]
                raise SpecError(
                    f"{name}, line {line}: {key!r} stands twice (first on line {first})."
                )
            lines[(*at, key)] = line
            mapping[key] = _build(value_node, (*at, key), lines, name)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*at, index)] = _line(item)
        return [_build(item, (*at, i), lines, name) for i, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    text = str(node.value)
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int" and len(text) <= MAX_NUMBER_LENGTH:
        return int(text)
    if kind == "float" and len(text) <= MAX_NUMBER_LENGTH:
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
