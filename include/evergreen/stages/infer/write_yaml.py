"""Writes an inferred spec as YAML to edit: one column a line, each guess a comment."""

from __future__ import annotations

import json
import re
from typing import Any

from include.evergreen.stages.infer.roles import Inferred

_PLAIN = re.compile(r"^[A-Za-z_][\w ./-]*(?<! )$", re.ASCII)
_WORDS = frozenset(["true", "false", "null", "yes", "no", "on", "off", "y", "n"])
_WIDTH = 98


def to_yaml(found: Inferred, source: str, schema: str | None = None) -> str:
    """The spec as text. Loads back to exactly `found.document`.

    Args:
        found: what was inferred.
        source: the name of the file it was inferred from.
        schema: where the JSON Schema lies, seen from the spec, for editors; None leaves it out.
    """
    lines = [f"# yaml-language-server: $schema={_inert(schema)}"] if schema else []
    lines += [f"# Inferred from {_inert(source)}: {found.rows:,} rows, {found.columns} columns."]
    lines += ["# What was guessed; edit what you know better:"]
    lines += [f"#   {_inert(guess)}" for guess in found.guesses]
    if found.left_out:
        lines.append("# Left out, and why (add a column under data.columns to take it in):")
        lines += [f"#   {_inert(name)}: {_inert(why)}" for name, why in found.left_out.items()]
    for key, value in found.document.items():
        if isinstance(value, dict):
            lines += ["", f"{key}:", *_section(value, "  ")]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _section(section: dict[str, Any], indent: str) -> list[str]:
    lines = []
    for key, value in section.items():
        if key == "columns":
            lines.append(f"{indent}columns:")
            for name, column in value.items():
                lines += _wrapped(f"{indent}  {_text(name)}: ", _flow(column), f"{indent}      ")
        else:
            lines.append(f"{indent}{key}: {_flow(value)}")
    return lines


def _wrapped(start: str, flow: str, indent: str) -> list[str]:
    """A long flow mapping over several lines, broken only behind a comma outside a text."""
    pieces = re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+,?', flow)
    lines, current = [], start
    for piece in pieces:
        if len(current) + len(piece) > _WIDTH and current.strip() and current != start:
            lines.append(current.rstrip())
            current = indent + piece.lstrip()
        else:
            current += piece
    return [*lines, current]


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)  # noqa: PLR2004
    return str(value) if isinstance(value, int) else _text(str(value))


def _text(text: str) -> str:
    """A scalar that YAML reads back as this very text: plain if it may be, else double-quoted."""
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escaped(c) for c in quoted)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"


def _inert(text: str) -> str:
    """A text on one line, for a comment."""
    return "".join(c if c.isprintable() else "?" for c in text)
