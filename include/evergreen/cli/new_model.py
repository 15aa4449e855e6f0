"""Writes the spec of a new model from a file and the name of its target: `make model`.

    python -m include.evergreen.cli.new_model --name wine --data wine.csv --target quality

It says in plain words what it guessed and what it left out, and never overwrites a spec unless
told to (`--force`).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from include.evergreen import settings
from include.evergreen.cli.spec_schema import SCHEMA_FILE
from include.evergreen.errors import EvergreenError, InputError
from include.evergreen.spec import ModelSpec, load_specs
from include.evergreen.spec.document import parse_document
from include.evergreen.spec.loading import validate
from include.evergreen.stages.infer.infer_spec import infer_spec
from include.evergreen.stages.infer.roles import Wanted
from include.evergreen.stages.infer.write_yaml import to_yaml


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when a spec was written, 2 when none could be, with the reason on stderr."""
    options = _parser().parse_args(arguments)
    out = options.out or settings.load().models_dir / f"{options.name}.yaml"
    try:
        _check_free(out, options.name, force=options.force)
        wanted = Wanted(options.name, options.target, options.time or None, options.key or None)
        text, spec = infer_text(options.data, wanted, out)
        _write(out, text)
    except EvergreenError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print(spoken(text))
    print(f"\nWrote {_short(out)}: {spec.task}, {len(spec.feature_columns)} columns to learn from.")
    print(f"Next: {_next(spec, options.data)}")
    return 0


def infer_text(data: Path, wanted: Wanted, out: Path) -> tuple[str, ModelSpec]:
    """The YAML and the spec it loads as; what does not load is never written."""
    inside = _has_make() and out.absolute().is_relative_to(settings.PROJECT_ROOT)
    schema = os.path.relpath(SCHEMA_FILE, out.parent) if inside else None
    text = to_yaml(infer_spec(data, wanted), data.name, schema)
    return text, validate(parse_document(text, f"the spec inferred from {data.name}"), ModelSpec)


def _has_make() -> bool:
    """Whether this is the whole of Evergreen, not a copy inside another Airflow project."""
    return SCHEMA_FILE.is_file()


def _next(spec: ModelSpec, data: Path) -> str:
    if _has_make():
        return f"make run MODEL={spec.model} DATA={data}"
    landing = spec.landing_uri(settings.load())
    return f"unpause the DAGs {spec.model}.*, then put {data} into {landing}"


def spoken(text: str) -> str:
    """The comments at the head of a spec, as sentences for a person."""
    head = text[: text.index("\nmodel:")].splitlines()
    said = [line for line in head if "yaml-language-server" not in line]
    return "\n".join(line.removeprefix("# ").removeprefix("#") for line in said)


def _check_free(out: Path, name: str, *, force: bool) -> None:
    """InputError if the file is there (unless forced), or another holds a model of this name."""
    if out.exists() and not force:
        raise InputError(f"{_short(out)} exists. Choose another NAME, or --force to replace it.")
    twin = load_specs(out.parent).specs.get(name)
    if twin is not None and not out.exists():
        raise InputError(
            f"A spec in {_short(out.parent)} already has the model name {name!r}. Choose another."
        )


def _write(out: Path, text: str) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(out)


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_absolute() else str(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", required=True, help="the model: small letters, digits, _")
    parser.add_argument("--data", required=True, type=Path, help="CSV, Parquet or JSONL; .gz too")
    parser.add_argument("--target", required=True, help="the column to predict")
    parser.add_argument("--time", help="the column of times, ISO 8601; guessed if only one may be")
    parser.add_argument("--key", help="the column that names a row; guessed if clear")
    parser.add_argument("--out", type=Path, help="where to write; default include/models/NAME.yaml")
    parser.add_argument("--force", action="store_true", help="replace a spec that is there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
