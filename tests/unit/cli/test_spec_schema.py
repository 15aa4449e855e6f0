"""The exported JSON Schema is current, and says what the reader says."""

import json

from include.evergreen.cli import spec_schema


def test_the_schema_in_docs_is_current():
    assert spec_schema.main(["--check"]) == 0, "run python -m include.evergreen.cli.spec_schema"


def test_a_schema_that_is_not_current_is_noticed(tmp_path, capsys):
    stale = tmp_path / "schema.json"
    stale.write_text("{}")
    assert spec_schema.main(["--check", "--out", str(stale)]) == 1
    assert "is not current" in capsys.readouterr().out
    assert spec_schema.main(["--out", str(stale)]) == 0
    assert spec_schema.main(["--check", "--out", str(stale)]) == 0


def test_the_schema_closes_every_section_to_unknown_keys():
    schema = json.loads(spec_schema.schema_text())
    sections = [schema, *schema["$defs"].values()]
    assert all(s["additionalProperties"] is False for s in sections if s.get("type") == "object")
    assert schema["required"] == ["model", "task", "data", "training"]
