"""What gates may name: each broken rule is told with its line, and what is allowed."""

import re

import pytest

from include.evergreen.spec import load_spec

BINARY = """\
model: rides
task: binary
data:
  landing: landing/rides
  target: late
  columns:
    distance: {type: float, min: 0}
    town: {type: category, values: [north, south]}
    zone: {type: category, values: [1, 2]}
    street: {type: category}
    age: {type: integer, max: 120}
    member: {type: boolean}
    seen: {type: timestamp}
    late: {type: boolean}
training: {metric: roc_auc}
gates:
"""
MULTICLASS = (
    BINARY.replace("task: binary", "task: multiclass")
    .replace("late: {type: boolean}", "late: {type: category, values: [a, b, c]}")
    .replace("roc_auc", "macro_f1")
)
REGRESSION = (
    BINARY.replace("task: binary", "task: regression")
    .replace("late: {type: boolean}", "late: {type: float}")
    .replace("roc_auc", "rmse")
)


def slices(text: str) -> str:
    return f"  slices:\n    - {text}\n"


def behaviour(text: str) -> str:
    return f"  behaviour:\n    - {text}\n"


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            slices("{column: tonw, values: [north]}"),
            "line 18, gates.slices.0.column: 'tonw' is no feature column. Did you mean 'town'?",
        ),
        (slices("{column: late, values: [true]}"), "gates.slices.0.column: 'late' is the target."),
        (slices("{column: town}"), "gates.slices.0: names neither values nor a range"),
        (
            slices("{column: age, values: [1], min: 3}"),
            "gates.slices.0: has both values and a range",
        ),
        (slices("{column: town, min: 3}"), "a category has no range; give values of 'town'"),
        (slices("{column: age, min: 3, max: 3}"), "min 3 is not below max 3; no row is in between"),
        (slices("{column: age, min: 9, max: 3}"), "gates.slices.0.min: min 9 is not below max 3"),
        (slices("{column: distance, values: [3]}"), "a float has no values of its own"),
        (
            slices("{column: town, values: [north, suoth]}"),
            "values.1: saw 'suoth'; the contract allows 'north', 'south'. Did you mean 'south'?",
        ),
        (slices("{column: zone, values: ['1']}"), "saw '1'; the contract allows 1, 2."),
        (slices("{column: zone, values: [true]}"), "saw True; the contract allows 1, 2."),
        (slices("{column: street, values: [3]}"), "saw 3; the column holds texts"),
        (slices("{column: member, values: [1]}"), "saw 1; a boolean is true or false"),
        (slices("{column: age, values: ['3']}"), "saw '3'; the column holds numbers"),
        (slices("{column: age, values: [121]}"), "saw 121; the contract allows no more than 120"),
        (slices("{column: age, values: []}"), "gates.slices.0.values: saw []"),
        (
            slices("{column: age, min: 3, name: a}\n    - {column: age, min: 4, name: a}"),
            "gates.slices: 'a' is the name of two",
        ),
        ("  fairness: {columns: [town, sex]}\n", "columns.1: 'sex' is no feature column"),
        ("  fairness: {columns: [distance]}\n", "'distance' is a float; groups are told by cat"),
        ("  fairness: {columns: [late]}\n", "'late' is the target"),
        ("  fairness: {columns: [seen]}\n", "'seen' is no feature column"),
        ("  fairness: {columns: [town, town]}\n", "columns.1: 'town' stands twice"),
        ("  fairness: {max_mean_prediction_gap: 0.1}\n", "no meaning for binary; it is for regr"),
        ("  calibration: {max_bias: 0.1}\n", "calibration.max_bias: has no meaning for binary"),
        ("  floors: {rmse: 3}\n", "line 17, gates.floors.rmse: 'rmse' does not fit binary"),
        ("  floors: {roc_acu: 0.7}\n", "Did you mean 'roc_auc'?"),
        ("  modes: {calibraton: off}\n", "Did you mean 'calibration'?"),
        ("  modes: {calibration: no}\n", "gates.modes.calibration: saw 'no'"),
        (
            behaviour("{name: a, column: agge, add: 1, expect: same}"),
            "gates.behaviour.0.column: 'agge' is no feature column. Did you mean 'age'?",
        ),
        (behaviour("{name: a, column: age, expect: same}"), "has neither set_to nor add"),
        (
            behaviour("{name: a, column: age, set_to: [3], add: 1, expect: same}"),
            "has both set_to and add",
        ),
        (behaviour("{name: a, column: age, add: 0, expect: same}"), "adds nothing"),
        (behaviour("{name: a, column: town, add: 1, expect: same}"), "be added to a category"),
        (
            behaviour("{name: a, column: town, set_to: [east], expect: same}"),
            "behaviour.0.set_to.0: saw 'east'; the contract allows 'north', 'south'.",
        ),
        (
            behaviour("{name: a, column: distance, set_to: [-1], expect: same}"),
            "saw -1; the contract allows no less than 0",
        ),
        (
            behaviour("{name: a, column: age, set_to: [1.5], expect: same}"),
            "saw 1.5; the column holds whole numbers",
        ),
        (
            behaviour("{name: a, column: age, add: 1, expect: same}\n")
            + "    - {name: a, column: age, add: 2, expect: same}\n",
            "gates.behaviour: 'a' is the name of two",
        ),
    ],
)
def test_what_a_gate_cannot_do_is_refused(refusal, section, expected):
    assert re.sub(r"\s+", " ", expected) in re.sub(r"\s+", " ", refusal(f"{BINARY}{section}"))


@pytest.mark.parametrize(
    ("spec", "section", "expected"),
    [
        (
            MULTICLASS,
            behaviour("{name: a, column: age, add: 1, expect: not_lower}"),
            "'not_lower' does not fit multiclass; 'same' does",
        ),
        (MULTICLASS, "  fairness: {max_equalized_odds_difference: 0.1}\n", "no meaning for multi"),
        (REGRESSION, "  fairness: {max_demographic_parity_difference: 0.1}\n", "no meaning for r"),
        (REGRESSION, "  calibration: {max_error: 0.1}\n", "it is for binary and multiclass"),
    ],
)
def test_what_has_no_meaning_for_a_task_is_refused(refusal, spec, section, expected):
    assert expected in refusal(f"{spec}{section}")


@pytest.mark.parametrize("spec", [BINARY, MULTICLASS, REGRESSION])
def test_what_fits_is_taken_and_what_was_loaded_loads_again(tmp_path, spec):
    path = tmp_path / "rides.yaml"
    path.write_text(
        spec
        + slices("{column: age, min: 18, max: 30}")
        + "    - {column: member, values: [true], name: members}\n"
        + "    - {column: zone, values: [1]}\n"
        + "  fairness: {columns: [town, member, age]}\n"
        + behaviour("{name: a, column: distance, set_to: [0, 1.5], expect: same}")
        + "    - {name: b, column: street, set_to: [High Street], expect: same}\n"
    )
    loaded = load_spec(path)
    assert type(loaded).model_validate(loaded.model_dump(mode="json")) == loaded
