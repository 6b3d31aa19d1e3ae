"""Whatever inputs come, in whatever order: the state is legal, nothing raises, and folding is folding."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.core.deadlines import deadlines
from headgate.core.decider import decide, fold
from headgate.core.evolve import COMMAND_WINDOW, refold
from headgate.core.lifecycle import CONDITIONS
from headgate.worker.view import view_of
from headgate_events.chain import find_break
from headgate_events.codec import encode, validate
from headgate_events.records import Input
from tests.spec.story import SOURCE, Story, config, error, receipt

IDS = st.sampled_from(["a", "b", "c", "d", "e", "f"])
COMMANDS = st.one_of(
    *(
        st.tuples(st.just(kind), st.fixed_dictionaries({}, optional={"dry_run": st.booleans()} | options))
        for kind, options in {
            "create": {},
            "start": {},
            "pause": {"force": st.booleans(), "when_idle": st.booleans()},
            "resume": {"not_before": st.sampled_from(["1970-01-01T00:00:00Z", "2199-01-01T00:00:00Z"])},
            "recover": {},
            "delete": {"drain": st.booleans(), "when_idle": st.booleans()},
            "cancel-drain": {},
            "retry": {},
        }.items()
    ),
    st.tuples(st.just("modify"), st.builds(lambda n: {"config": config(parallelism=n)}, st.integers(1, 3))),
    st.tuples(st.just("modify"), st.just({"config": config(isolate="stream")})),
    st.tuples(st.just("cancel"), st.builds(lambda i: {"command_id": i}, IDS)),
)
WORKERS = st.sampled_from(["w1", "w2"])
REPORTS = st.one_of(
    st.tuples(
        st.just("validation-passed"),
        st.builds(
            lambda r: {"revision": r, "partitions": {SOURCE: 2}, "positions": {SOURCE: {"0": 0}}}, st.integers(1, 3)
        ),
    ),
    st.tuples(st.just("validation-failed"), st.builds(lambda r: {"revision": r}, st.integers(1, 3))),
    st.tuples(st.just("source-listed"), st.builds(lambda n: {"partitions": {SOURCE: n}}, st.integers(0, 3))),
    st.tuples(
        st.just("partition-drained"),
        st.builds(lambda p, end: {"receipt": receipt(p, end)}, st.integers(0, 3), st.integers(0, 3)),
    ),
    st.tuples(
        st.just("task-started"), st.builds(lambda w, r: {"worker": w, "revision": r}, WORKERS, st.integers(1, 3))
    ),
    st.tuples(st.just("task-stopped"), st.builds(lambda w: {"worker": w}, WORKERS)),
    st.tuples(st.just("worker-silent"), st.builds(lambda w: {"worker": None, "lost": w}, WORKERS)),
    st.tuples(st.just("revision-rejected"), st.builds(lambda r: {"revision": r}, st.integers(1, 3))),
    st.tuples(st.just("error-raised"), st.builds(lambda r, i: {"error": error(r, i)}, st.booleans(), IDS)),
    st.tuples(
        st.just("error-raised"),
        st.builds(
            lambda i, p, w: {"error": error(False, i, topic=SOURCE, partition=p, worker=w), "worker": w},
            IDS,
            st.integers(0, 2),
            WORKERS,
        ),
    ),
    st.tuples(st.just("error-cleared"), st.builds(lambda i: {"error_id": i}, IDS)),
    st.tuples(
        st.just("positions-checked"),
        st.builds(lambda i, ok: {"command_id": i, "passed": ok, "gap": 3}, IDS, st.booleans()),
    ),
    st.tuples(st.just("fenced"), st.just({})),
    st.tuples(
        st.sampled_from(["condition-raised", "condition-cleared"]),
        st.builds(lambda c: {"condition": c}, st.sampled_from(sorted(CONDITIONS))),
    ),
    st.tuples(st.just("idle-reached"), st.builds(lambda i: {"command_id": i, "worker": None}, IDS)),
    st.tuples(st.just("the next deadline"), st.just({})),
    st.tuples(
        st.just("deadline-passed"),
        st.builds(
            lambda d, due, i: {"deadline": d, "due_ms": due, "command_id": i, "worker": None},
            st.sampled_from(["validation", "drain", "check", "not_before", "unassigned", "forget"]),
            st.integers(0, 9),
            IDS,
        ),
    ),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("command"), COMMANDS, IDS, st.integers(0, 9)),
        st.tuples(st.just("report"), REPORTS, IDS, st.integers(0, 9)),
        st.tuples(st.just("path"), st.tuples(st.sampled_from(["RUNNING", "PAUSED"]), st.just({})), IDS, st.just(0)),
    ),
    max_size=40,
)


def told(steps: list[Any]) -> Story:
    """Feed the steps; a roll of 0 makes a report stale, or a command expect another version."""
    story = Story()
    for family, (kind, payload), input_id, roll in steps:
        if family == "path":
            if story.state is None:
                story.at(kind)
        elif family == "command":
            story.command(kind, id=input_id, expect=99 if roll == 0 else None, **dict(payload))
        elif kind == "the next deadline":
            if story.state is not None and (due := deadlines(story.state)):
                story.report(
                    "deadline-passed",
                    worker=None,
                    deadline=due[0].kind,
                    due_ms=due[0].due_ms,
                    command_id=due[0].command_id,
                )
        else:
            stale = {"epoch": 0} if roll == 0 else {}
            story.report(kind, **{**payload, **stale})
    return story


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_any_sequence_of_inputs_leaves_a_legal_state_and_a_legal_history(steps: list[Any]) -> None:
    story = told(steps)
    for record in story.history:
        validate("history", record.payload)
    if story.state is not None:
        validate("state", story.state)
        assert len(story.state["commands"]) <= COMMAND_WINDOW
        assert set(story.state["conditions"]) <= {
            name for name, statuses in CONDITIONS.items() if story.status in statuses
        }
        assert ("checking" in story.state["conditions"]) == (story.state["checking"] is not None)
        assert (story.status == "FAILED") <= bool(story.state["errors"]), "a failed stream says why"
        view = view_of(story.state)
        assert (story.status == "FAILED_PERMANENTLY") == bool(view.unrecoverable), "only a person ends what stands"
        assert view.carries_on == story.state["carries_on"] and view.carries_on <= bool(view.failed)
        assert (story.status == "FAILED_PERMANENTLY" and not view.carries_on) <= (not story.state["tasks"])
        assert story.state["revision"]["applied"] <= story.state["revision"]["desired"]
        assert story.state["started_epoch"] <= story.state["epoch"] <= story.state["version"]


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_every_input_has_exactly_one_final_outcome_or_waits_visibly(steps: list[Any]) -> None:
    story = told(steps)
    answered: dict[tuple[str, int], int] = {}
    for record in story.history:
        if record.kind == "outcome":
            where = (record.payload["input"]["topic"], record.payload["input"]["offset"])
            answered[where] = answered.get(where, 0) + 1
    waiting = set()
    if story.state is not None:
        pending = [*story.state["scheduled"].values()]
        pending += [story.state["checking"]] if story.state["checking"] is not None else []
        waiting = {(item["topic"], item["offset"]) for item in pending}
    for item in story.inputs:
        assert answered.get((item.topic, item.offset), 0) == (0 if (item.topic, item.offset) in waiting else 1)


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_deciding_again_what_was_decided_yields_nothing(steps: list[Any]) -> None:
    # An input that came while there was no such stream is guarded by the partition's progress record instead.
    story = told(steps)
    if story.state is not None:
        for item, existed in zip(story.inputs, story.existed, strict=True):
            assert decide(story.state, item) == () or not existed


@given(STEPS, st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_folding_the_history_gives_the_state_byte_for_byte_in_one_go_and_in_two(steps: list[Any], cut: int) -> None:
    story = told(steps)
    whole = refold(story.history)
    halves = refold(story.history[cut:], refold(story.history[:cut]))
    assert (whole is None) == (story.state is None) == (halves is None)
    if story.state is not None and whole is not None and halves is not None:
        assert encode(whole) == encode(story.state) == encode(halves)


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_versions_count_up_by_one_and_the_chain_holds(steps: list[Any]) -> None:
    story = told(steps)
    chain = [
        (record.payload["incarnation"], record.payload["version"], record.payload["previous"], record.value)
        for record in story.history
        if record.kind != "outcome"
    ]
    for started in _lives(chain):
        assert find_break(started) is None
        assert started[0][1] == 1


def _lives(chain: list[Any]) -> list[list[Any]]:
    """Cut the chain where a stream was forgotten: the next one knows nothing of it."""
    lives: list[list[Any]] = []
    for link in chain:
        if link[2] is None or not lives:
            lives.append([])
        lives[-1].append(link)
    return lives


@given(st.lists(st.tuples(st.sampled_from(["create", "start", "pause", "delete"]), IDS), max_size=20))
def test_folding_changes_nothing_in_place(steps: list[tuple[str, str]]) -> None:
    story = Story()
    for kind, input_id in steps:
        before = None if story.state is None else encode(story.state)
        held = story.state
        story.command(kind, id=input_id)
        assert held is None or encode(held) == before


def test_an_input_of_a_stream_that_nobody_knows_leaves_no_state() -> None:
    story = Story()
    item: Input = story.input("commands", "pause", {})
    folded = fold(None, item)
    assert folded.state is None and folded.changed is False and len(folded.records) == 1
