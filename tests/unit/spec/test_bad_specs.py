"""Bad specs 29 to 40: refused with the file, the line, what was seen and what is allowed."""

import os
import time

import pytest

from include.evergreen.errors import SpecError
from include.evergreen.spec import load_spec, load_specs


def test_the_spec_the_others_break_is_valid(valid, write):
    assert load_spec(write(valid)).model == "rides"


# 29 -- unknown keys


@pytest.mark.parametrize(
    ("seen", "written", "line", "expected"),
    [
        ("task: regression", "tasq: regression", 2, "unknown key 'tasq'. Did you mean 'task'?"),
        ("  target: count", "  tarrget: count", 7, "unknown key 'tarrget'. Did you mean 'target'?"),
        ("max: 50", "maximum: 50", 9, "unknown key 'maximum'"),
        ("trials: 5", "trails: 5", 15, "unknown key 'trails'. Did you mean 'trials'?"),
        ("  metric: rmse", "  metric: rmse\n  trials: 5", 15, "belongs in 'training.budget'"),
        ("model: rides", "model: rides\nzzz: 1", 2, "Known here: model, description, owner, task"),
    ],
)
def test_29_an_unknown_key_is_named_with_its_line_and_the_nearest_known_one(
    valid, refusal, seen, written, line, expected
):
    assert seen in valid
    message = refusal(valid.replace(seen, written))
    assert expected in message
    assert f"line {line}," in message


def test_29_every_problem_is_listed_in_the_order_of_the_file(valid, refusal):
    broken = valid.replace("task: regression", "task: guess").replace("trials: 5", "trials: 0")
    message = refusal(broken + "gates: {min_improvment: 0.1}\n")
    assert "3 problems" in message
    places = [message.index(place) for place in ("line 2, task", "line 15,", "line 16,")]
    assert places == sorted(places)


def test_29_a_long_list_of_problems_stops_at_ten_with_the_true_count(valid, refusal):
    message = refusal(valid + "".join(f"unknown_{n}: 1\n" for n in range(25)))
    assert "25 problems" in message
    assert "and 15 more" in message


# 30 -- what YAML can do to a reader


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch HACKED']",
        "!!python/name:os.system",
        "!!python/object/new:os.system []",
        "!ruby/object:Gem {}",
        "!!binary aGFsbG8=",
        "!!set {a, b}",
        "!include /etc/passwd",
    ],
)
def test_30_a_tag_is_refused_and_makes_no_object(valid, refusal, tmp_path, monkeypatch, tag):
    monkeypatch.chdir(tmp_path)
    message = refusal(valid.replace("model: rides", f"model: {tag}"))
    assert "line 1: the tag" in message
    assert "is not allowed" in message
    assert [path.name for path in tmp_path.iterdir()] == ["rides.yaml"]


def test_30_an_anchor_bomb_is_refused_before_it_expands(refusal):
    bomb = 'a: &a ["x","x","x","x","x","x","x","x","x"]\n'
    for name, before in zip("bcdefghij", "abcdefghi", strict=True):
        bomb += f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    started = time.perf_counter()
    assert "line 1: anchors are not allowed" in refusal(bomb)
    assert time.perf_counter() - started < 1


def test_30_an_alias_without_its_anchor_and_a_merge_key_are_refused(valid, refusal):
    assert "aliases are not allowed" in refusal(valid + "gates: *nothing\n")
    assert "unknown key '<<'" in refusal(valid + "<<: {owner: me}\n")


def test_30_a_huge_file_is_refused_before_it_is_read_whole(write, valid):
    path = write(valid)
    with path.open("ab") as file:
        file.truncate(8 * 2**30)  # sparse: eight gigabytes that take no room
    with pytest.raises(SpecError, match=r"larger than 524,288 bytes"):
        load_spec(path)


def test_30_deep_nesting_and_many_values_are_refused_without_recursion(valid, refusal):
    assert "nested deeper than 12 levels" in refusal(valid + "gates: " + "[" * 5000 + "]" * 5000)
    assert "more than 50,000 values" in refusal("a: [" + "1," * 60_000 + "1]")


def test_30_a_key_that_stands_twice_is_refused_with_both_lines(valid, refusal):
    message = refusal(valid + "task: binary\n")
    assert "line 16: 'task' stands twice (first on line 2)" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no spec"),
        ("- model: rides\n", "holds no spec"),
        ("model: [rides\n", "not YAML"),
        ("model: rides\n---\nmodel: other\n", "a second document"),
        ("? [a, b]\n: 1\n", "a key must be a plain word"),
        (b"model: \xff\xfe\n", "is not UTF-8"),
        (b"model: a\x00b\n", "is not YAML"),
    ],
)
def test_30_what_is_no_mapping_in_one_document_is_refused(refusal, text, expected):
    assert expected in refusal(text)


def test_30_a_pipe_in_place_of_a_spec_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "rides.yaml")
    with pytest.raises(SpecError, match="no regular file"):
        load_spec(tmp_path / "rides.yaml")


def test_a_spec_that_is_missing_or_unreadable_says_so(tmp_path):
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        load_spec(tmp_path / "rides.yaml")


# 31 -- ranges that cannot be


@pytest.mark.parametrize(
    ("seen", "written", "expected"),
    [
        ("min: -30, max: 50", "min: 50, max: -30", "line 9, data.columns.temperature.min: min 50"),
        ("trials: 5", "trials: 0", "trials: saw 0; it should be greater than or equal to 1"),
        ("trials: 5", "trials: -1", "saw -1; it should be greater than or equal to 1"),
        ("trials: 5", "trials: 1000000000", "should be less than or equal to 10000"),
        ("trials: 5", "trials: 1.5", "saw 1.5; it should be a valid integer"),
        ("seconds: 10", "seconds: 0", "seconds: saw 0"),
        ("max: 50", "max: .inf", "should be a finite number"),
        ("max: 50", "max: 1e400", "should be a finite number"),
        ("max: 50", "max: .nan", "should be a finite number"),
        ("max_null_share: 0.01", "max_null_share: 1.1", "less than or equal to 1"),
        ("max_null_share: 0.01", "max_null_share: -0.1", "greater than or equal to 0"),
        ("trials: 5", "trials: " + "9" * 5000, "saw '9999999999"),
    ],
)
def test_31_an_impossible_range_is_refused(valid, refusal, seen, written, expected):
    assert expected in refusal(valid.replace(seen, written))


@pytest.mark.parametrize("edges", ["[1, 1]", "[3, 2]", "[1, 2, 2]"])
def test_31_bins_must_ascend(valid, refusal, edges):
    features = f"features:\n  bins:\n    warm: {{column: temperature, edges: {edges}}}\n"
    message = refusal(valid + features)
    assert "line 18, features.bins.warm.edges: must ascend" in message


# 32 -- schedules


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("* * * * * *", "saw '* * * * * *'; it should be five fields"),
        ("*/1 * * * * */5", "it should be five fields"),
        ("every second", "it should be five fields"),
        ("61 * * * *", "it should be five fields"),
        ("* * * *", "it should be five fields"),
        ("0 0 30 2 *", "is never due"),
        ("@reboot", "it should be five fields"),
        ("@continuous", "it should be five fields"),
        ("{{ ds }}", "it should be five fields"),
        ("* " * 5000, "it should be five fields"),
    ],
)
@pytest.mark.parametrize("section", ["data", "retrain", "monitoring"])
def test_32_a_cron_that_is_none_or_runs_every_second_is_refused(
    valid, refusal, section, cron, expected
):
    if section == "data":
        text = valid.replace("  landing:", f"  schedule: '{cron}'\n  landing:")
    else:
        text = f"{valid}{section}: {{schedule: '{cron}'}}\n"
    message = refusal(text)
    assert f"{section}.schedule" in message
    assert expected in message


def test_32_a_training_every_minute_is_refused_but_a_look_at_the_files_is_not(
    valid, refusal, write
):
    message = refusal(valid + "retrain: {schedule: '* * * * *'}\n")
    assert "due every 60 s; at least 600 s must lie between two runs" in message
    load_spec(write(valid + "monitoring: {schedule: '* * * * *'}\n"))


@pytest.mark.parametrize("cron", ["*/15 * * * *", "0 6 * * MON-FRI", "@daily", "0 0 29 2 *"])
def test_32_sensible_crons_pass(valid, write, cron):
    spec = load_spec(write(f"{valid}retrain: {{schedule: '{cron}'}}\n"))
    assert spec.retrain.schedule == cron


@pytest.mark.parametrize("key", ["catchup: true", "start_date: 1970-01-01"])
def test_32_nobody_can_ask_to_catch_up_from_1970(valid, refusal, key):
    assert "unknown key" in refusal(f"{valid}retrain: {{{key}}}\n")


# 34 -- templates stay text

INERT = ["{{ var.value.secret }}", "$(touch HACKED)", "`touch HACKED`", "{% raw %}", "${HOME}"]


@pytest.mark.parametrize("text", INERT)
def test_34_templates_and_substitutions_are_inert_text(valid, write, installation, text):
    spec = load_spec(
        write(f"description: '{text}'\n" + valid.replace("landing/rides", f"'landing/{text}'"))
    )
    assert spec.description == text
    assert spec.landing_uri(installation) == str(installation.home / "landing" / text)


# 35 -- places


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://metadata.google.internal/",
        "ftp://example.org/x",
        "gopher:x",
        "s3://169.254.169.254/latest/",
        "s3://UPPER/x",
        "s3://",
        "s3://bucket/a/../../other",
        "file://host/share",
        "../../etc",
        "landing/../..",
        "'   '",
        "''",
        '"landing/\\0x"',
        '"landing/a\\nb"',
    ],
)
def test_35_a_place_that_is_no_directory_and_no_bucket_is_refused(valid, refusal, place):
    message = refusal(valid.replace("landing/rides", place))
    assert "line 4, data.landing" in message
    labelled = valid.replace(
        "  key: ride\n", f"  key: ride\n  labels: {{landing: {place}, key: ride}}\n"
    )
    assert "data.labels.landing" in refusal(labelled)


@pytest.mark.parametrize("place", ["/etc", "file:///etc", "/", "/root/.aws", "/proc/self"])
def test_35_a_directory_outside_the_roots_is_refused_when_it_is_resolved(
    valid, write, installation, place
):
    spec = load_spec(write(valid.replace("landing/rides", place)))
    with pytest.raises(SpecError, match=r"outside the allowed roots.*EVERGREEN_DATA_ROOTS"):
        spec.landing_uri(installation)


def test_35_a_link_that_leads_out_of_the_roots_is_refused(valid, write, installation):
    (installation.home / "landing").mkdir(parents=True)
    (installation.home / "landing" / "rides").symlink_to("/etc")
    with pytest.raises(SpecError, match="is /etc, outside the allowed roots"):
        load_spec(write(valid)).landing_uri(installation)


def test_35_the_home_itself_is_no_landing_zone(valid, write, installation):
    spec = load_spec(write(valid.replace("landing/rides", ".")))
    with pytest.raises(SpecError, match=r"outside the allowed roots"):
        spec.landing_uri(installation)


# 36 -- names


@pytest.mark.parametrize(
    "name",
    [
        "a/b",
        "../up",
        "a#b",
        "a.b",
        "A",
        "1a",
        "''",
        "_a",
        "a b",
        "a" * 64,
        "\uff4dodel",
        "'a\n\n  b'",
    ],
)
def test_36_a_model_name_that_could_be_a_path_or_a_fragment_is_refused(valid, refusal, name):
    message = refusal(valid.replace("model: rides", f"model: {name}"))
    assert "line 1, model: saw" in message
    assert "small letters, digits and underscores" in message


# 37 -- time zones


def test_37_times_without_a_zone_are_utc_unless_the_spec_says_otherwise(valid, write, refusal):
    assert load_spec(write(valid)).data.time_zone == "UTC"
    zoned = valid.replace("  time: at\n", "  time: at\n  time_zone: ZONE\n")
    assert (
        load_spec(write(zoned.replace("ZONE", "Europe/Berlin"))).data.time_zone == "Europe/Berlin"
    )
    for zone in ("Mars/Olympus", "../../etc/passwd", "/etc/passwd", "", "{{ x }}"):
        message = refusal(zoned.replace("ZONE", f'"{zone}"'))
        assert "line 6, data.time_zone: saw" in message
        assert "UTC or Europe/Berlin" in message


# 39 -- secrets


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("deployment: {password: hunter2xyz}\n", "hunter2xyz"),
        ("aws_secret_access_key: hunter2xyz\n", "hunter2xyz"),
        ("monitoring: {token: hunter2xyz}\n", "hunter2xyz"),
        ("gates: {api_key: hunter2xyz}\n", "hunter2xyz"),
        ("description: use AKIAIOSFODNN7EXAMPLE\n", "AKIAIOSFODNN7EXAMPLE"),
        ("description: postgresql://me:hunter2xyz@db/x\n", "hunter2xyz"),
        ("owner: 'password=hunter2xyz'\n", "hunter2xyz"),
        ("description: |\n  -----BEGIN RSA PRIVATE KEY-----\n  hunter2xyz\n", "hunter2xyz"),
        ("description: https://hooks.slack.com/services/T0/B0/hunter2xyz\n", "hunter2xyz"),
    ],
)
def test_39_a_secret_is_refused_unrepeated_and_sent_to_a_connection(valid, refusal, text, secret):
    message = refusal(valid + text)
    assert "line 16" in message
    assert "Airflow connection" in message
    assert secret not in message


def test_39_a_secret_in_the_address_of_a_bucket_is_refused(valid, refusal):
    message = refusal(valid.replace("landing/rides", "s3://key:hunter2xyz@bucket/x"))
    assert "an address with a login was seen" in message
    assert "hunter2xyz" not in message


def test_39_a_data_column_may_be_called_token_or_password_strength(valid, write):
    text = valid.replace(
        "    count:", "    token: {type: integer}\n    password_strength: {type: float}\n    count:"
    )
    assert "token" in load_spec(write(text)).feature_columns


# 40 -- one name, two specs


def test_40_two_specs_with_one_model_name_are_both_named_and_both_refused(valid, write, tmp_path):
    write(valid, "rides.yaml")
    write(valid, "copy_of_rides.yml")
    write(valid.replace("model: rides", "model: walks"), "walks.yaml")
    loaded = load_specs(tmp_path)
    assert list(loaded.specs) == ["walks"]
    assert len(loaded.refusals) == 2
    for refusal in loaded.refusals:
        assert "'rides' is in 2 specs" in refusal.message
        assert "rides.yaml" in refusal.message
        assert "copy_of_rides.yml" in refusal.message
