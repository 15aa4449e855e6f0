"""Requests made from the service's own document, right and wrong ones, at a running service.

schemathesis checks that no answer is a 5xx, that each conforms to the document (status, content
type, headers, schema), that methods nobody documented are 405 with Allow, and that what the
document forbids is refused; `fuzz_rules` that what it allows is answered.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.conftest import PROJECT_ROOT

pytestmark = [pytest.mark.slow]

EXAMPLES = 8
COMMAND = Path(sys.executable).with_name("st")
#: What an open service has no use for: logins, and things that are made and deleted.
EXCLUDED = "positive_data_acceptance,ignored_auth,use_after_free,ensure_resource_availability"
#: Too many rows are a refusal as well; a 5xx is none.
CONFIG = """
[checks.negative_data_rejection]
expected-statuses = [400, 404, 405, 413, 415, 422]
"""


def fuzz(document: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """One run of the fuzzer, the same requests each time; a failure shows how to repeat it."""
    (folder / "schemathesis.toml").write_text(CONFIG)
    environ = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.unit.serving.fuzz_rules",
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    command = [
        str(COMMAND), "run", document, "--checks", "all", "--exclude-checks", EXCLUDED,
        "--max-examples", str(EXAMPLES), "--generation-deterministic",
        "--suppress-health-check", "all", "--continue-on-failure", "--no-color",
        "--request-timeout", "20", *options,
    ]  # fmt: skip
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("service", ("--phases", "examples,coverage,fuzzing")),
        # What is of its own: the columns that it takes, and answers of several outputs.
        ("weather_service", ("--phases", "examples,fuzzing", "--include-method", "POST")),
    ],
)
def test_every_answer_is_as_the_document_says(kind, options, request, tmp_path) -> None:
    running = request.getfixturevalue(kind)
    before = counts(running.url)["rows"]
    run = fuzz(f"{running.url}/openapi.json", tmp_path, *options)
    assert run.returncode == 0, run.stdout + run.stderr
    assert requests.get(f"{running.url}/ping", timeout=10).ok
    assert "nobody foresaw" not in running.log.read_text()
    answered = counts(running.url)["rows"] - before
    assert answered > 20, "the fuzzer made too few requests that were answered"


def counts(url: str) -> dict[str, int]:
    return {"rows": 0} | requests.get(f"{url}/stats", timeout=10).json()["counts"]


def test_a_document_that_tells_untruths_is_found_out(service, tmp_path) -> None:
    document = requests.get(f"{service.url}/openapi.json", timeout=10).json()
    untrue = json.dumps(document).replace('"maximum": 50', '"maximum": 5000')
    post = json.loads(untrue)["paths"]["/invocations"]["post"]
    del post["responses"]["422"]
    altered = json.loads(untrue) | {"paths": {"/invocations": {"post": post}}}
    (tmp_path / "untrue.json").write_text(json.dumps(altered))
    run = fuzz("untrue.json", tmp_path, "--url", service.url, "--phases", "coverage")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "what_is_allowed_is_answered" in run.stdout
    assert "Undocumented status code" in run.stdout
