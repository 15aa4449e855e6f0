"""Bad input 33: a run's conf that is no object, too large or too deep is refused, and quickly."""

import time

import pytest

from include.evergreen.errors import InputError
from include.evergreen.run_params import (
    DeployParams,
    IngestParams,
    MonitorParams,
    TrainParams,
    parse_conf,
)


def test_a_conf_becomes_a_form():
    form = parse_conf({"reason": "new sensor", "trials": 5, "force": True}, TrainParams)
    assert form == TrainParams(reason="new sensor", trials=5, force=True)
    assert parse_conf(None, IngestParams) == IngestParams(replay_quarantine=False)
    assert parse_conf({}, DeployParams).version is None
    assert parse_conf({"reason": None}, TrainParams).reason == "", "what an empty field sends"


@pytest.mark.parametrize("conf", [[], "text", 5, True, [{"force": True}]])
def test_33_a_conf_that_is_no_object_is_refused(conf):
    with pytest.raises(InputError, match=r"is a \w+; it must be a JSON object of reason, trials"):
        parse_conf(conf, TrainParams)


@pytest.mark.parametrize(
    "conf",
    [
        {"reason": "x" * 10_000_000},
        {"x" * 10_000_000: 1},
        {"reason": ["x"] * 1_000_000},
        {"trials": 10**200_000},
        {str(n): n for n in range(100_000)},
    ],
)
def test_33_ten_megabytes_are_refused_without_being_repeated(conf):
    started = time.perf_counter()
    with pytest.raises(InputError, match="is larger than 65,536 characters") as caught:
        parse_conf(conf, TrainParams)
    assert len(str(caught.value)) < 300
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_33_a_thousand_levels_are_refused_without_recursion(wrap):
    deep = "bottom"
    for _ in range(100_000):
        deep = wrap(deep)
    with pytest.raises(InputError, match="nested deeper than 8 levels"):
        parse_conf({"reason": deep}, TrainParams)


@pytest.mark.parametrize(
    ("conf", "form", "expected"),
    [
        ({"forse": True}, TrainParams, "'forse' is unknown, known are reason, trials.*'force'"),
        ({"trials": 0}, TrainParams, "trials: saw 0; it should be greater than or equal to 1"),
        ({"trials": -1}, TrainParams, "saw -1"),
        ({"trials": 10**9}, TrainParams, "less than or equal to 10000"),
        ({"trials": "5"}, TrainParams, "saw '5'; it should be a valid integer"),
        ({"force": "yes"}, TrainParams, "saw 'yes'; it should be a valid boolean"),
        ({"reason": "x" * 501}, TrainParams, "reason: saw"),
        ({"version": 0}, DeployParams, "version: saw 0"),
        ({"version": True}, DeployParams, "version: saw True"),
        ({"anything": 1}, MonitorParams, "known are no field at all"),
        ({"__proto__": {}}, IngestParams, "is unknown"),
    ],
)
def test_a_conf_that_says_nonsense_is_refused_with_what_was_seen(conf, form, expected):
    with pytest.raises(InputError, match=expected):
        parse_conf(conf, form)


@pytest.mark.parametrize("text", ["{{ var.value.secret }}", "$(touch HACKED)", "`id`"])
def test_34_templates_in_a_conf_are_inert_text(text):
    assert parse_conf({"reason": text}, TrainParams).reason == text
