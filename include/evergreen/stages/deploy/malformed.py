"""A handful of requests that no service may answer with a prediction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from include.evergreen.policy.verification import Probe
from include.evergreen.stages.deploy.service_probe import ServiceProbe


def send_malformed(probe: ServiceProbe, row: Mapping[str, Any]) -> list[Probe]:
    """How the service answered each; `row` is a good one, to be spoiled."""
    return [
        Probe(name, probe.post("/invocations", body, content_type)[0])
        for name, body, content_type in _requests(row)
    ]


def _requests(row: Mapping[str, Any]) -> list[tuple[str, bytes, str]]:
    first = next(iter(row))
    rest = {name: value for name, value in row.items() if name != first}
    json_type = "application/json"
    return [
        ("broken JSON", b'{"dataframe_records": [', json_type),
        ("no protocol key", b"{}", json_type),
        ("not JSON at all", b"a,b\n1,2\n", "application/octet-stream"),
        ("no rows", _records([]), json_type),
        ("a feature missing", _records([rest]), json_type),
        ("a feature too many", _records([{**row, "evergreen_no_such_column": 1}]), json_type),
        ("a list for a value", _records([{**row, first: [[]]}]), json_type),
        ("a number too large for JSON", _spoiled(row, first, b"1e400"), json_type),
    ]


def _records(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps({"dataframe_records": rows}).encode()


def _spoiled(row: Mapping[str, Any], name: str, literal: bytes) -> bytes:
    """The row with one value replaced by a literal that no JSON encoder would write."""
    marker = "evergreen-spoiled-value"
    return _records([{**row, name: marker}]).replace(json.dumps(marker).encode(), literal)
