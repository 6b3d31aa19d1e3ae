"""`headgate verify --receipts`: receipts that hold, one that lies, and one that nobody can check any more."""

from __future__ import annotations

import dataclasses

import pytest

from headgate import bootstrap
from headgate.cli import main
from headgate.worker.auditing import audit
from tests.integration.worker.conftest import Headgate


def test_receipts_are_computed_again_from_source_and_destination(
    headgate: Headgate, capsys: pytest.CaptureFixture[str]
) -> None:
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    headgate.produce(source, 400, partitions=2)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination},
        receipt_digest=True,
    )
    headgate.until_moved(destination, 400)
    headgate.done(headgate.commands.pause("orders"))
    state = headgate.until_status("orders", "PAUSED").model_dump(mode="json")
    log, clock = bootstrap.make_log(headgate.settings(), "audits"), bootstrap.make_clock()

    found = audit(log, clock, state)
    assert [(each.partition, each.read, each.verdict) for each in found] == [(0, 200, "holds"), (1, 200, "holds")]
    assert all("Count and digest" in each.told and "in the destination" in each.told for each in found), found

    receipt = state["drain"]["receipts"][source]["1"]
    lies = {"read": 199}, {"digest": "0" * 64}, {"end": 10_000}
    for lie in lies:
        state["drain"]["receipts"][source]["1"] = receipt | lie
        assert [each.verdict for each in audit(log, clock, state)] == ["holds", "differs"], lie
    state["drain"]["receipts"][source]["1"] = receipt
    empty = headgate.source("empty", 1)
    elsewhere = state | {"config": state["config"] | {"destination": {"kind": "kafka", "topic": empty}}}
    assert {each.verdict for each in audit(log, clock, elsewhere)} == {"differs"}, "nothing was written there"

    where = ["--bootstrap-servers", headgate.servers, "-n", headgate.namespace]
    assert main.run(["verify", "--receipts", "orders", *where]) == 0
    assert f"{source}:0" in capsys.readouterr().out
    headgate.delete_records(source, 1, before=50)
    gone = audit(log, clock, state)
    assert [each.verdict for each in gone] == ["holds", "unchecked"]
    assert "no longer holds 50" in gone[1].told and dataclasses.asdict(gone[1])["written"] == 200
    assert main.run(["verify", "--receipts", "no-such-stream", *where]) == 2


def test_what_a_transform_made_is_compared_where_it_may_be_loaded(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.produce(source, 100, partitions=1)
    headgate.worker("a")
    module = "tests.integration.worker.transforms"
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination},
        transform={"function": f"{module}:bear_unless", "settings": {"bad": [7, 8]}},
        on_error="skip",
    )
    headgate.until_moved(destination, 98)
    headgate.done(headgate.commands.pause("orders"))
    state = headgate.until_status("orders", "PAUSED").model_dump(mode="json")
    log, clock = bootstrap.make_log(headgate.settings(), "audits"), bootstrap.make_clock()

    (found,) = audit(log, clock, state, [module])
    assert found.verdict == "holds" and "All that the transform makes of it stands in the destination." in found.told
    (found,) = audit(log, clock, state)
    assert found.verdict == "holds" and "Counts alone, since the transform is not loaded here" in found.told
    state["config"]["transform"]["function"] = f"{module}:twice"
    (found,) = audit(log, clock, state, [module])
    assert found.verdict == "differs" and "makes 200 records of the range; the receipt says 98" in found.told
    state["config"]["transform"] = {"function": f"{module}:bear_unless", "settings": {"bad": [7, 9]}}
    (found,) = audit(log, clock, state, [module])
    assert found.verdict == "differs" and "1 record(s) of the ranges do not stand in the destination" in found.told
