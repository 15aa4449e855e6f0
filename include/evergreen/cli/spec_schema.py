"""Writes `docs/spec.schema.json`, from which editors complete and check a spec.

Run `python -m include.evergreen.cli.spec_schema` after a change of the spec's fields; with
`--check` it changes nothing and says by its exit status whether the file is current.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from include.evergreen.settings import PROJECT_ROOT
from include.evergreen.spec import ModelSpec

SCHEMA_FILE = PROJECT_ROOT / "docs" / "spec.schema.json"


def schema_text() -> str:
    """The JSON Schema of a spec, always the same text for the same fields."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ModelSpec.model_json_schema(),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="spec_schema")
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    parser.add_argument("--out", type=Path, default=SCHEMA_FILE)
    options = parser.parse_args(arguments)
    text = schema_text()
    if not options.check:
        options.out.write_text(text, encoding="utf-8")
        print(f"Wrote {options.out}")
        return 0
    if options.out.is_file() and options.out.read_text(encoding="utf-8") == text:
        return 0
    print(f"{options.out} is not current: run python -m include.evergreen.cli.spec_schema")
    return 1


if __name__ == "__main__":
    sys.exit(main())
