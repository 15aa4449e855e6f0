"""The card of a training that won and of one that lost, each in its own run."""

import json
from pathlib import Path

import pytest

from include.evergreen.contracts import Actor, JournalEntry, Judgement
from include.evergreen.errors import ArtifactRefused, Busy, LedgerConflict
from include.evergreen.stages.clock import utc_now
from include.evergreen.stages.training.card import kept, write_card
from include.evergreen.stages.training.card.decisions import CardEntry
from include.evergreen.stages.training.training_steps import training_folder

ENTRY = CardEntry("approved", "2026-03-03T09:00:00+00:00", "admin", "person", "good", 1)


def write(judged, training) -> dict:
    snapshot, fitted, word, _ = training
    assert write_card.write_card(judged.resources, snapshot, fitted, word)
    found = kept.read_card(judged.resources, fitted.run_id)
    assert found is not None
    return found


def artifacts(judged, run_id: str) -> dict[str, bytes]:
    client = judged.resources.registry._client
    folder = client.get_run(run_id).info.artifact_uri.removeprefix("file://")
    return {path.name: path.read_bytes() for path in (Path(folder) / "card").iterdir()}


def test_a_first_model_that_won_has_a_card_of_all_that_it_was(judged):
    snapshot, fitted, word, candidate = judged.won
    assert not training_folder(judged.resources, snapshot).exists(), "registering forgot it"
    card = write(judged, judged.won)
    assert card["version"] == candidate.version == 1
    assert card["judgement"]["verdict"] == "won"
    assert card["judgement"]["champion"] is None
    assert "refitted on all rows" in card["served"]["words"]
    assert card["data"]["rows"] == snapshot.rows
    lineage = card["lineage"]
    assert lineage["training_key"] == snapshot.key
    assert lineage["rows_digest"] == snapshot.rows_digest
    assert lineage["champion_version"] is None
    assert lineage["opened_by"] == "run-1"
    assert [request["reason"] for request in lineage["asked_by"]] == ["new_data"]
    decides = card["metrics"]["rows"][0]
    assert decides["metric"] == "rmse"
    assert decides["challenger"]["value"] == pytest.approx(word.challenger.value, rel=1e-5)
    assert decides["challenger"]["low"] < decides["challenger"]["value"]
    assert decides["challenger"]["value"] < decides["challenger"]["high"]
    assert "champion" not in decides
    assert {row["column"] for row in card["explanation"]["importances"]} <= set(
        judged.loop.spec.data.columns
    )
    assert len(card["explanation"]["dependence"]) == 4
    assert set(artifacts(judged, fitted.run_id)) == {
        "card.json",
        "model_card.html",
        "model_card.md",
    }


def test_the_gates_that_the_spec_turned_off_stand_on_the_card(judged):
    gates = {gate["name"]: gate for gate in write(judged, judged.won)["gates"]}
    assert len(gates) == 12
    assert gates["latency"]["mode"] == "off"
    assert gates["size"]["mode"] == "warn"
    page = artifacts(judged, judged.won[1].run_id)["model_card.html"].decode()
    assert "Latency" in page


def test_a_challenger_that_lost_has_a_card_against_the_champion(judged):
    snapshot, _, word, candidate = judged.lost
    assert (word.verdict, candidate) == ("lost", None)
    card = write(judged, judged.lost)
    assert card["version"] is None
    assert card["served"]["words"].startswith("This challenger was not registered")
    assert card["lineage"]["champion_version"] == 1
    decides = card["metrics"]["rows"][0]
    assert decides["champion"]["value"] == pytest.approx(word.champion.value, rel=1e-5)
    assert "champion" in card["answers"]["course"]["lines"]
    assert card["data"]["holdout_from"] == snapshot.holdout_from
    page = artifacts(judged, judged.lost[1].run_id)["model_card.html"].decode()
    assert "nothing to approve" in page


def test_a_card_written_again_is_the_same_to_the_byte(judged):
    write(judged, judged.lost)
    first = artifacts(judged, judged.lost[1].run_id)
    write(judged, judged.lost)
    assert artifacts(judged, judged.lost[1].run_id) == first
    assert max(map(len, first.values())) < 300_000


def test_the_version_in_mlflow_tells_the_card_in_short_and_where_it_lies(judged):
    write(judged, judged.won)
    found = judged.resources.registry._client.get_model_version("bike_demand", "1")
    assert found.description.startswith("# Model card: bike\\_demand v1")
    assert "| rmse (decides) |" in found.description
    url = kept.card_url(judged.resources, judged.won[1].run_id)
    assert found.tags["evergreen.model_card"] == url


def test_a_decision_is_added_once_and_outlives_a_card_that_is_written_again(judged):
    run_id = judged.won[1].run_id
    write(judged, judged.won)
    for _ in range(2):
        kept.add_decisions(judged.resources, run_id, [ENTRY])
    card = write(judged, judged.won)
    assert card["decisions"] == [ENTRY.as_json()]
    assert b"admin" in artifacts(judged, run_id)["model_card.md"]
    described = judged.resources.registry._client.get_model_version("bike_demand", "1").description
    assert "| approved v1 | admin |" in described


def test_a_decision_on_what_has_no_card_is_refused_and_says_what_to_do(judged):
    registry = judged.resources.registry
    bare = registry.start_run("bike_demand", "no-such-training", "bare")
    with pytest.raises(ArtifactRefused, match=r"has no model card to add 'approved' to\. Clear"):
        kept.add_decisions(judged.resources, bare, [ENTRY])
    for text, said in (("{", "is no model card"), ('{"format": 99}', "has format 99; 1 is")):
        registry.log_text(bare, text, "card/card.json")
        with pytest.raises(ArtifactRefused, match=said):
            kept.add_decisions(judged.resources, bare, [ENTRY])


def test_a_card_that_is_being_written_is_not_waited_for(judged):
    run_id = judged.won[1].run_id
    write(judged, judged.won)
    other = CardEntry("released", "2026-03-04T09:00:00+00:00", "release", "policy", "good", 1)
    ledger, now = judged.resources.ledger, utc_now()
    lease = ledger.take_lease(kept.subject(run_id), "another run", now, 60.0)
    with pytest.raises(Busy):
        kept.add_decisions(judged.resources, run_id, [other])
    assert other.as_json() not in kept.read_card(judged.resources, run_id)["decisions"]
    ledger.release_lease(lease, now)


def test_what_was_not_judged_has_no_card(judged):
    snapshot, fitted, _, _ = judged.lost
    word = Judgement("not_yet", "too few rows")
    assert write_card.write_card(judged.resources, snapshot, fitted, word) is None


def test_other_rows_than_the_judge_s_make_no_card(judged):
    snapshot, fitted, word, _ = judged.lost
    document = word.as_json()
    document["challenger"]["n_rows"] -= 1
    with pytest.raises(LedgerConflict, match="the card would show other figures than the judge's"):
        write_card.write_card(judged.resources, snapshot, fitted, Judgement.from_json(document))


def test_the_document_is_json_that_any_reader_takes(judged):
    write(judged, judged.lost)
    content = artifacts(judged, judged.lost[1].run_id)["card.json"]

    def refuse(word: str):
        raise AssertionError(word)

    assert json.loads(content, parse_constant=refuse)["format"] == 1


def test_a_card_that_is_written_late_has_what_the_journal_says_of_its_version(judged):
    entry = JournalEntry(
        "approved:v1:0", "bike_demand", "approved", Actor("person", "reviewer"), "seen, good",
        to_version=1,
    )  # fmt: skip
    judged.resources.ledger.append_journal(entry, utc_now())
    for _ in range(2):
        card = write(judged, judged.won)
        told = [d for d in card["decisions"] if d["by"] == "reviewer"]
        assert [(d["what"], d["why"]) for d in told] == [("approved", "seen, good")]
    assert write(judged, judged.lost)["decisions"] == []
