"""A file of acceptance examples is read with its spec, and as strictly."""

import json
import time

import pytest

from include.evergreen.errors import SpecError
from include.evergreen.model_code.features import LocalTimes
from include.evergreen.model_code.row_contract import InvalidRows, RowContract
from include.evergreen.spec import Column, load_spec, load_specs
from include.evergreen.spec.acceptance_rules import value_problem

NAMES = "deployment: {acceptance: rides.acceptance.yaml}\n"
GOOD = """\
cases:
  - name: a warm day
    given: {temperature: 20, humidity: 40, weather: clear}
    expect: {between: [10, 400], above: no thermometer}
  - name: no thermometer
    given: {humidity: 40, weather: rain, ride: r-1, at: "2024-05-01T08:00:00Z"}
    expect: {value: 50, tolerance: 12.5}
"""
CLASSES = """\
model: rides
task: multiclass
data:
  landing: landing/rides
  target: mood
  columns:
    distance: {type: float}
    mood: {type: category, values: [1, 2, 3]}
training: {metric: accuracy}
deployment: {acceptance: rides.acceptance.yaml}
"""


@pytest.fixture
def loaded(valid, write):
    """The spec that names these examples."""

    def load(examples: str, spec: str = ""):
        write(examples, "rides.acceptance.yaml")
        return load_spec(write(spec or valid + NAMES))

    return load


@pytest.fixture
def refused(loaded):
    def message_of(examples: str, spec: str = "") -> str:
        with pytest.raises(SpecError) as caught:
            loaded(examples, spec)
        return str(caught.value)

    return message_of


def test_examples_come_with_the_spec_and_train_nothing(loaded, valid, write, tmp_path):
    spec = loaded(GOOD)
    assert [case.name for case in spec.acceptance.cases] == ["a warm day", "no thermometer"]
    assert spec.acceptance.cases[0].expect.between == (10, 400)
    plain = load_spec(write(valid, "plain.yaml"))
    assert plain.acceptance is None
    assert plain.training_digest() == spec.training_digest()
    edited = loaded(GOOD.replace("400", "401"))
    assert edited.training_digest() == spec.training_digest()
    assert edited.acceptance.digest != spec.acceptance.digest
    assert len(edited.acceptance.digest) == 64
    assert edited.model_copy(update={"owner": "x"}).acceptance is edited.acceptance


def test_examples_are_taken_for_no_spec(loaded, tmp_path):
    loaded(GOOD)
    found = load_specs(tmp_path)
    assert (list(found.specs), found.refusals) == (["rides"], ())
    assert found.specs["rides"].acceptance is not None
    assert load_specs(tmp_path, only="rides").specs["rides"].acceptance is not None


@pytest.mark.parametrize(
    ("seen", "written", "expected"),
    [
        ("cases:\n", "csess:\n", "line 1, csess: unknown key 'csess'. Did you mean 'cases'?"),
        ("name: a warm", "naem: a warm", "line 2, cases.0.naem: unknown key 'naem'. Did you mean"),
        ("between:", "betwixten:", "line 4, cases.0.expect.betwixten: unknown key 'betwixten'. "),
        ("{between: [10, 400]", "{between: [10]", "line 4, cases.0.expect.between.1: is required"),
        ("[10, 400]", "[400, 10]", "line 4, cases.0.expect.between: 400 is above 10"),
        ("[10, 400]", "[10, .nan]", "line 4, cases.0.expect.between.1: saw nan"),
        ("temperature: 20", "temperatuure: 20", "cases.0.given.temperatuure: no column"),
        ("temperature: 20", "temperature: 51", "saw 51; allowed is a finite"),
        ("temperature: 20", "count: 9", "cases.0.given.count: no column of a request"),
        ("humidity: 40, weather: clear", "humidity: 4.5, weather: clear", "saw 4.5; allow"),
        ("weather: clear", "weather: snow", "saw 'snow'; allowed is one of clear, mist, rain"),
        ("weather: clear", "weather: null", "cases.0.given.weather: saw null; it may not be"),
        (", weather: clear", "", "line 3, cases.0.given: 'weather' is missing, and it may"),
        ("ride: r-1", "ride: [1]", "saw [1]; allowed is a text or a whole number"),
        ("2024-05-01T08:00:00Z", "yesterday", "saw 'yesterday'; allowed is an ISO 8601"),
        ("name: no thermometer", "name: a warm day", "line 5, cases.1.name: 'a warm day' st"),
        ("above: no thermometer", "above: no thermometr", "is no other case. Did you mean"),
        ("above: no thermometer", "above: a warm day", "'a warm day' is no other case"),
        ("{between: [10, 400], above: no thermometer}", "{}", "expects nothing; say one of above,"),
        ("value: 50, tolerance: 12.5", "value: 50", "value and tolerance go together"),
        ("value: 50, tolerance: 12.5", "tolerance: 1", "expects nothing"),
        ("tolerance: 12.5", "tolerance: -1", "saw -1"),
        ("value: 50, tolerance: 12.5", "label: rain", "cases.1.expect.label: does not fit"),
        ("between: [10, 400]", "probability: {x: [0, 1]}", "probability: does not fit regression"),
        ("cases:\n", "cases: &a\n", "anchors are not allowed"),
        ("ride: r-1", "ride: AKIAABCDEFGHIJKLMNOP", "an AWS access key was seen"),
    ],
)  # fmt: skip
def test_a_broken_example_is_refused_with_its_line(refused, seen, written, expected):
    assert seen in GOOD
    message = refused(GOOD.replace(seen, written, 1))
    assert expected in message
    assert "rides.acceptance.yaml" in message
    assert "AKIA" not in message


@pytest.mark.parametrize("text", ["", "- name: x\n", "a text\n"])
def test_a_file_without_cases_is_refused(refused, text):
    assert "holds no examples: a mapping that starts with 'cases:'" in refused(text)


def test_a_thousand_examples_are_read_in_a_moment_and_one_more_is_refused(refused, loaded):
    def cases(count: int) -> str:
        rest = "  given: {humidity: 40, weather: clear}\n  expect: {between: [0, 1]}\n"
        return "cases:\n" + "".join(f"- name: c{n}\n{rest}" for n in range(count))

    began = time.perf_counter()
    assert len(loaded(cases(1000)).acceptance.cases) == 1000
    assert time.perf_counter() - began < 5
    assert "line 1, cases: holds 1,001 cases; at most 1,000" in refused(cases(1001))


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        ("{label: 2}", None),
        ("{probability: {2: [0.1, 0.9], 3: [0, 0.5]}}", None),
        ("{label: 4}", "cases.0.expect.label: saw 4; the classes are 1, 2, 3"),
        ("{label: '2'}", "cases.0.expect.label: saw '2'; the classes are 1, 2, 3"),
        ("{label: true}", "cases.0.expect.label: saw True; the classes are 1, 2, 3"),
        ("{probability: {4: [0, 1]}}", "cases.0.expect.probability.4: no class of this model"),
        ("{probability: {2: [0.5, 1.5]}}", "saw [0.5, 1.5]; a probability is from 0 to 1"),
        ("{probability: {2: [0.9, 0.1]}}", "0.9 is above 0.1"),
        ("{between: [0, 1]}", "cases.0.expect.between: does not fit multiclass"),
    ],
)
def test_classes_are_those_of_the_contract(loaded, refused, expect, expected):
    examples = f"cases:\n  - name: far\n    given: {{distance: 9}}\n    expect: {expect}\n"
    if expected is None:
        assert loaded(examples, CLASSES).acceptance is not None
    else:
        assert expected in refused(examples, CLASSES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/etc/x.acceptance.yaml", "a relative path without '..'"),
        ("../x.acceptance.yaml", "a relative path without '..'"),
        ("a/../../x.acceptance.yaml", "a relative path without '..'"),
        ("x.yaml", "must end in .acceptance.yaml or .acceptance.yml"),
        (".acceptance.yaml", "must end in .acceptance.yaml"),
        ("x\\y.acceptance.yaml", "a control character or a backslash"),
        ("missing.acceptance.yaml", "there is no such file in"),
        ("folder.acceptance.yaml", "there is no such file in"),
        ("link.acceptance.yaml", "is a link out of the spec's directory"),
        ("linked/x.acceptance.yaml", "is a link out of the spec's directory"),
    ],
)
def test_examples_lie_beside_the_spec(valid, write, tmp_path, tmp_path_factory, name, expected):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "x.acceptance.yaml").write_text(GOOD)
    (tmp_path / "folder.acceptance.yaml").mkdir()
    (tmp_path / "link.acceptance.yaml").symlink_to(elsewhere / "x.acceptance.yaml")
    (tmp_path / "linked").symlink_to(elsewhere)
    with pytest.raises(SpecError) as caught:
        load_spec(write(f"{valid}deployment: {{acceptance: {json.dumps(name)}}}\n"))
    assert expected in str(caught.value)
    assert "line 16, deployment.acceptance" in str(caught.value)


def test_a_folder_below_the_spec_is_beside_it(valid, write, tmp_path):
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "x.acceptance.yml").write_text(GOOD)
    spec = load_spec(write(f"{valid}deployment: {{acceptance: examples/x.acceptance.yml}}\n"))
    assert spec.acceptance.file == "examples/x.acceptance.yml"


def test_a_mode_without_examples_is_refused(valid, refusal):
    assert "acceptance names none" in refusal(f"{valid}deployment: {{acceptance_mode: warn}}\n")


COLUMNS = (
    {"type": "float"},
    {"type": "float", "min": -1, "max": 1.5, "max_null_share": 0.1},
    {"type": "integer", "min": 0},
    {"type": "integer", "max": 10, "max_null_share": 1},
    {"type": "boolean"},
    {"type": "boolean", "max_null_share": 0.5},
    {"type": "category", "values": ["a", "1"]},
    {"type": "category", "values": [1, 2], "max_null_share": 0.1},
    {"type": "category", "values": ["a"], "unseen": "as_missing"},
    {"type": "category"},
    {"type": "category", "unseen": "as_missing"},
    {"type": "timestamp"},
    {"type": "timestamp", "max_null_share": 0.2},
    None,
)
VALUES = (
    None, True, False, 0, 1, 2, 11, -1, 1.0, 1.5, 0.5, -0.0, 1e39, -1e39, 10**400, float("nan"),
    float("inf"), "", "a", "1", "b", "x" * 4096, "x" * 4097, [], [1], {}, "2024-05-01",
    "2024-05-01T08:00:00+02:00", "1899-12-31", "1900-01-01", "2199-12-31T23:00", "2200-01-01",
    "2024-05-01T08:00:00" + "0" * 60, "not a time",
)  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_an_example_may_hold_what_a_request_may_and_nothing_else(column):
    rules = None if column is None else Column.model_validate(column)
    told = (
        {"type": "key", "nullable": True}
        if rules is None
        else {
            "type": rules.type,
            "min": rules.min,
            "max": rules.max,
            "values": None if rules.values is None else list(rules.values),
            "unseen": rules.unseen,
            "nullable": rules.max_null_share > 0,
        }
    )
    times = LocalTimes({"zone": "UTC", "offsets_at": [], "offsets_s": []})
    contract = RowContract({"columns": {"x": told}}, times)
    for value in VALUES:
        try:
            contract.parse({"x": [value]})
        except InvalidRows:
            taken = False
        else:
            taken = True
        assert (value_problem(rules, value) is None) is taken, (column, value)
