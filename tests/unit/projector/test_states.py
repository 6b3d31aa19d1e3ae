"""States at rest: bytes by stream, a bounded number of parsed ones, and who has to be looked at when."""

from __future__ import annotations

from headgate.projector.states import PartitionStates


def test_a_state_comes_back_as_it_was_put_and_only_a_few_are_kept_parsed() -> None:
    states = PartitionStates(parsed_max=2)
    for number in range(5):
        states.put_bytes(f"s{number}", b'{"version":%d}' % number)
    found = [states.get(f"s{number}") for number in range(5)]
    assert found == [{"version": number} for number in range(5)]
    assert states.get("s4") is found[4], "the last ones are kept"
    assert states.get("s0") is not found[0], "the first ones are parsed again"
    assert states.get("nobody") is None


def test_bytes_that_were_read_replace_what_was_parsed_before() -> None:
    states = PartitionStates(parsed_max=2)
    states.put("s", {"version": 1}, b'{"version":1}')
    states.put_bytes("s", b'{"version":2}')
    assert states.get("s") == {"version": 2}
    states.remove("s")
    assert states.get("s") is None


def test_streams_whose_time_has_come_are_named_once_and_then_forgotten() -> None:
    states = PartitionStates(parsed_max=2)
    for due_ms, stream in ((30, "c"), (10, "a"), (20, "b"), (11, "a")):
        states.expect(stream, due_ms)
    assert states.next_due_ms == 10
    assert states.take_due(20, at_most=10) == ["a", "b"]
    assert states.take_due(20, at_most=10) == []
    assert states.take_due(99, at_most=10) == ["c"]


def test_outdated_deadlines_do_not_pile_up() -> None:
    states = PartitionStates(parsed_max=2)
    states.put_bytes("s", b"{}")
    for due_ms in range(10_000, 0, -1):
        states.expect("s", due_ms)
        states.expect("gone", due_ms)
    assert len(states._due) < 2_000
    assert "s" in states.take_due(10_000, at_most=10)
