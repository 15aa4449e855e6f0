"""The interface as one page of HTML: nothing is fetched, nothing runs, everything is escaped."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from column_schemas import describe
from examples import EXAMPLE_ROWS, forms, inference, inference_outcome, prediction_answer
from open_inference import output_datatypes
from openapi import About
from page_style import STYLE
from tensors import datatypes

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
#: Only the page's own style: no script, no image, no font, no frame, and no form to send.
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def page(about: About, document: Mapping[str, Any], base: str) -> str:
    """The page; `base` is the address that the examples are sent to."""
    title = escape(document["info"]["title"])
    body = "\n".join(
        [
            _head(about, document),
            "<main>",
            _columns(about),
            _outputs(about),
            _examples(about, base),
            _refusals(),
            _endpoints(document),
            "</main>",
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _head(about: About, document: Mapping[str, Any]) -> str:
    limits = [
        (f"{about.max_rows:,}", "rows a request"),
        (_size(about.max_body_bytes), "a body"),
        (f"{about.body_timeout_s:g} s", "to send it in"),
    ]
    shown = "".join(f"<li><b>{escape(n)}</b> {escape(what)}</li>" for n, what in limits)
    target = escape(str(about.contract.get("target")))
    return (
        f'<header><p class="eyebrow">{escape(str(about.contract.get("task", "model")))}</p>'
        f'<h1>{escape(about.model)} <span class="pill">version {escape(about.version)}</span></h1>'
        f"<p>Predicts <code>{target}</code>, strictly: what breaks the contract below is refused "
        f'with every field named.</p><ul class="limits">{shown}</ul>'
        f"<nav>{_links(document)}</nav></header>"
    )


def _links(document: Mapping[str, Any]) -> str:
    sections = ["columns", "answers", "examples", "refusals", "endpoints"]
    links = [f'<a href="#{name}">{name.capitalize()}</a>' for name in sections]
    if "/openapi.json" in document["paths"]:
        links.append('<a href="/openapi.json">OpenAPI document</a>')
    return " ".join(links)


def _columns(about: About) -> str:
    contract = about.contract
    zone = str(contract.get("time_zone"))
    columns = [(n, c, False) for n, c in contract["columns"].items()]
    columns += [(n, c, True) for n, c in contract["optional"].items()]
    rows = [
        f"<tr><th scope=row><code>{escape(name)}</code>"
        f"{'<span class=note>optional</span>' if optional else ''}</th>"
        f"<td>{escape(column['type'])}</td><td>{escape(datatypes(column)[0])}</td>"
        f"<td>{escape(describe(column, zone))}</td></tr>"
        for name, column, optional in columns
    ]
    return _section(
        "columns",
        "Columns",
        "What a row holds. The datatype is that of the Open Inference Protocol.",
        _table(("Column", "Type", "Datatype", "Allowed"), rows),
    )


def _outputs(about: About) -> str:
    rows = [
        f"<tr><th scope=row><code>{escape(name)}</code></th><td>{escape(kind)}</td>"
        f"<td>{escape(_meaning(name, about))}</td></tr>"
        for name, kind in output_datatypes(about.classes).items()
    ]
    table = _table(("Output", "Datatype", "Meaning"), rows)
    return _section("answers", "Answers", "What comes back for each row.", table)


def _meaning(name: str, about: About) -> str:
    target = about.contract.get("target")
    if name != "prediction":
        return f"How probable it is that {target} is {name.removeprefix('probability_')}, 0 to 1"
    if about.classes is None:
        return f"What the model expects of {target}"
    listed = ", ".join(map(str, about.classes[:20]))
    return f"The most probable {target}, one of {listed}" + (
        ", ..." if len(about.classes) > 20 else ""  # noqa: PLR2004
    )


def _examples(about: About, base: str) -> str:
    rows = about.golden["rows"][:EXAMPLE_ROWS]
    records = forms(rows, about.contract)["dataframe_records"]
    outcome = inference_outcome(about.golden, about.model, about.version, about.classes)
    parts = [
        ("MLflow's scoring protocol", _curl(f"{base}/invocations", records)),
        ("The answer", _pretty(prediction_answer(about.golden))),
        (
            "The Open Inference Protocol",
            _curl(f"{base}/v2/models/{about.model}/infer", inference(rows, about.contract)),
        ),
        ("The answer", _pretty(outcome)),
    ]
    shown = "".join(
        f'<figure><figcaption>{escape(name)}</figcaption><pre tabindex="0">{escape(text)}</pre>'
        "</figure>"
        for name, text in parts
    )
    about_forms = "The first rows the model was proven with, and what it answered to them."
    return _section("examples", "Examples", about_forms, shown)


def _curl(url: str, body: Any) -> str:
    lines = [
        f"curl -sS {shlex.quote(url)} \\",
        "  -H 'Content-Type: application/json' \\",
        f"  --data-binary {shlex.quote(_pretty(body))}",
    ]
    return "\n".join(lines)


def _pretty(content: Any) -> str:
    """JSON with a line for each row or tensor: indented to where its parts fit on a line."""
    return _laid_out(content, 0)


def _laid_out(content: Any, depth: int) -> str:
    flat = json.dumps(content, ensure_ascii=False)
    if len(flat) + depth <= 104 or not isinstance(content, dict | list) or not content:  # noqa: PLR2004
        return flat
    inner, outer = " " * (depth + 2), " " * depth
    if isinstance(content, list):
        parts = [_laid_out(value, depth + 2) for value in content]
        return "[\n" + ",\n".join(inner + part for part in parts) + f"\n{outer}]"
    parts = [
        f"{json.dumps(name, ensure_ascii=False)}: {_laid_out(value, depth + 2)}"
        for name, value in content.items()
    ]
    return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{outer}}}"


def _refusals() -> str:
    rows = [
        ("400", "The body is no JSON, no CSV or no UTF-8."),
        ("404", "No such path, model or version."),
        ("405", "The path has other methods: see the header Allow."),
        ("408, 413", "The body was too slow or too large, or holds too many rows."),
        ("415", "The content type is another, or the body is compressed."),
        ("422", "The contract is broken: fields names each column, what was seen and is allowed."),
    ]
    cells = [f"<tr><th scope=row>{s}</th><td>{escape(why)}</td></tr>" for s, why in rows]
    text = "A refusal is JSON: error_code and message, or error on the paths under /v2."
    return _section("refusals", "Refusals", text, _table(("Status", "Reason"), cells))


def _endpoints(document: Mapping[str, Any]) -> str:
    groups = []
    for tag in document["tags"]:
        rows = [
            f'<tr><td><span class="method {escape(method)}">{escape(method.upper())}</span></td>'
            f"<th scope=row><code>{escape(path)}</code></th>"
            f"<td>{escape(operation['summary'])}</td></tr>"
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if tag["name"] in operation["tags"]
        ]
        if rows:
            heading = f"<h3>{escape(tag['name'])}</h3><p>{escape(tag['description'])}</p>"
            groups.append(heading + _table(("Method", "Path", "What it answers"), rows))
    text = "Every answer has the headers X-Model-Version and X-Request-Id."
    return _section("endpoints", "Endpoints", text, "".join(groups))


def _section(identity: str, title: str, text: str, content: str) -> str:
    return f'<section id="{identity}"><h2>{title}</h2><p>{escape(text)}</p>{content}</section>'


def _table(names: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in names)
    body = "".join(rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _size(n_bytes: int) -> str:
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= size:
            return f"{n_bytes / size:.4g} {unit}"
    return f"{n_bytes} bytes"
