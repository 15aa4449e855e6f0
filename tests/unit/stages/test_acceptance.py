"""Examples are sent as a client would send them, and told side by side."""

import json
import math
from types import SimpleNamespace

import pytest

from include.evergreen.contracts import AcceptanceResult, BuiltImage
from include.evergreen.spec import load_spec
from include.evergreen.stages.deploy import acceptance
from include.evergreen.stages.deploy.acceptance_kept import acceptance_table
from include.evergreen.stages.deploy.acceptance_page import render_markdown, render_page

IMAGE = BuiltImage("bike_demand", 3, "process", "folder", "sha256:0", "digest")
DOCUMENT = {
    "model": "rides", "version": 3, "image_digest": "sha256:0", "file": "rides.acceptance.yaml",
    "digest": "d" * 64, "mode": "block",
}  # fmt: skip


class Registry:
    """Takes what is kept of a version."""

    def __init__(self):
        self.kept = {}

    def version_info(self, _, version):
        return SimpleNamespace(run_id=f"run {version}")

    def run_url(self, run):
        return f"http://mlflow/{run.replace(' ', '-')}"

    def log_report(self, run, files, folder):
        self.kept |= {f"{run}/{folder}/{file.name}": file.read_text() for file in files}

    def read_text(self, run, file):
        return self.kept.get(f"{run}/{file}")


class Probe:
    """Answers so many rows with this prediction, or with this status."""

    def __init__(self, predict=None, status=200):
        self.predict, self.status, self.asked = predict, status, []

    def post(self, path, body):
        split = json.loads(body)["dataframe_split"]
        rows = [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]
        self.asked.append(rows)
        assert path == "/invocations"
        if self.status != 200:
            return self.status, None
        return 200, {"predictions": [self.predict(row) for row in rows]}


def sensible(row):
    rush = row["hr"] in (8, 14, 17)
    return (300.0 if row["weathersit"] == 1 else 120.0) if rush else 12.0


@pytest.fixture
def resources(project_root):
    spec = load_spec(project_root / "include" / "models" / "bike_demand.yaml")
    return SimpleNamespace(spec=spec, model=spec.model, registry=Registry())


def edited(spec, **deployment):
    return spec.model_copy(update={"deployment": spec.deployment.model_copy(update=deployment)})


def test_the_shipped_examples_hold_for_a_sensible_model_and_are_kept(resources):
    probe = Probe(sensible)
    (check,) = acceptance.acceptance_checks(resources, probe, IMAGE)
    assert (check.passed, check.seen) == (True, "7 of 7 as expected")
    assert set(probe.asked[0][0]) == set(resources.spec.feature_columns), "each column, as null"
    assert sorted(resources.registry.kept) == [
        f"run 3/acceptance/acceptance.{ending}" for ending in ("html", "json", "md")
    ]
    table = acceptance_table(resources, 3)
    assert "| the way to work is busy | 80 to 1,200 | 300 | as expected |" in table
    page = "(http://mlflow/run-3/artifacts/acceptance/acceptance.html)"
    assert f"[Every case, with the row that was sent]{page}" in table
    assert acceptance_table(resources, 4) == (
        "No acceptance examples were asked of bike_demand v4: not verified since it names "
        "bike_demand.acceptance.yaml."
    )


@pytest.mark.parametrize(
    ("predict", "missed"),
    [
        (lambda _: 200.0, "1 of 7"),  # a constant: nothing is above or below anything
        (lambda _: math.nan, "0 of 7"),
        (lambda _: None, "0 of 7"),
        (lambda row: 312.0 - sensible(row), "0 of 7"),  # busy at night
    ],
)
def test_the_shipped_examples_stop_a_model_that_knows_no_city(resources, predict, missed):
    (check,) = acceptance.acceptance_checks(resources, Probe(predict), IMAGE)
    assert not check.passed
    assert check.seen.startswith(f"{missed} as expected")


def test_a_service_that_refuses_has_answered_nothing(resources):
    (check,) = acceptance.acceptance_checks(resources, Probe(status=500), IMAGE)
    assert not check.passed
    assert "no prediction (HTTP 500)" in check.seen


def test_an_answer_with_a_row_too_few_is_no_answer(resources):
    probe = Probe(sensible)
    probe.post = lambda *_: (200, {"predictions": [300.0]})
    (check,) = acceptance.acceptance_checks(resources, probe, IMAGE)
    assert "no prediction (no answer to each row)" in check.seen


def test_examples_are_asked_in_batches_the_service_takes(resources):
    probe = Probe(sensible)
    resources.spec = edited(resources.spec, max_rows=3)
    (check,) = acceptance.acceptance_checks(resources, probe, IMAGE)
    assert check.passed
    assert [len(rows) for rows in probe.asked] == [3, 3, 1]


def test_a_warning_is_shown_and_stops_nothing(resources):
    resources.spec = edited(resources.spec, acceptance_mode="warn")
    (check,) = acceptance.acceptance_checks(resources, Probe(lambda _: 200.0), IMAGE)
    assert check.passed
    assert "1 of 7 as expected (a warning only)" in check.seen
    assert "**not as expected**" in acceptance_table(resources, 3)


def test_no_examples_are_no_check_and_unread_ones_fail(resources):
    spec = resources.spec
    resources.spec = edited(spec, acceptance=None)
    assert acceptance.acceptance_checks(resources, Probe(sensible), IMAGE) == ()
    resources.spec = type(spec).model_validate(spec.model_dump())
    (check,) = acceptance.acceptance_checks(resources, Probe(sensible), IMAGE)
    assert not check.passed
    assert check.seen == "bike_demand.acceptance.yaml was not read with the spec"


def test_a_table_of_examples_that_were_edited_since_says_so(resources):
    acceptance.acceptance_checks(resources, Probe(sensible), IMAGE)
    assert "edited since" not in acceptance_table(resources, 3)
    resources.spec.acceptance._digest = "e" * 64
    assert "was edited since" in acceptance_table(resources, 3)


def test_value_and_bounds_together_are_where_both_hold(resources):
    case = resources.spec.acceptance.cases[1]
    update = {"value": 100.0, "tolerance": 5.0, "between": (98.0, 200.0)}
    both = case.model_copy(update={"expect": case.expect.model_copy(update=update)})
    assert acceptance.example_of(both).between == (98.0, 105.0)


def test_nothing_of_a_name_is_taken_for_markup():
    nasty = '<script>x</script> | [a](b) "q" `c`'
    result = AcceptanceResult(nasty, "1 to 2", "3", held=False, value=3, low=1, high=2,
                              given={nasty: nasty})  # fmt: skip
    page = render_page(DOCUMENT, [result])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert r"&lt;script&gt;x&lt;/script&gt; \| \[a\](b)" in render_markdown(DOCUMENT, [result])


def test_a_long_table_is_bounded_with_the_misses_first():
    results = [AcceptanceResult(f"case {n}", "1 to 2", "1", held=n != 900) for n in range(1000)]
    table = render_markdown(DOCUMENT, results)
    assert table.index("case 900") < table.index("case 0 ")
    assert "... and 950 more on the whole page." in table
    assert "999 of 1000 acceptance examples as expected" in table
