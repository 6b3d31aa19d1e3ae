"""A partition of the in-memory log against a model that is too simple to be wrong."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from headgate.adapters.memory.partition import PartitionLog
from headgate.adapters.memory.record import MemoryRecord

WRITERS = st.sampled_from([None, 1, 2, 3])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), WRITERS),
        st.tuples(st.just("commit"), st.sampled_from([1, 2, 3])),
        st.tuples(st.just("abort"), st.sampled_from([1, 2, 3])),
    ),
    max_size=40,
)


@dataclass
class Written:
    """What the model knows of an offset: whose it is, and whether that is settled. None for a marker."""

    writer: int | None
    fate: str


def record(offset: int) -> MemoryRecord:
    return MemoryRecord("topic", 0, offset, b"key%d" % (offset % 3), b"%d" % offset, None, (1, offset))


def build(steps: list[tuple[str, int | None]]) -> tuple[PartitionLog, list[Written]]:
    log, model = PartitionLog(), list[Written]()
    for step, writer in steps:
        if step == "append":
            log.append(record(log.end), writer)
            model.append(Written(writer, "committed" if writer is None else "open"))
            continue
        if not any(each.writer == writer and each.fate == "open" for each in model):
            continue
        assert writer is not None
        log.finish(writer, step == "commit", 0)
        for each in model:
            if each.writer == writer and each.fate == "open":
                each.fate = "committed" if step == "commit" else "aborted"
        model.append(Written(writer, "marker"))
    return log, model


def stable(model: list[Written]) -> int:
    return next((offset for offset, each in enumerate(model) if each.fate == "open"), len(model))


@given(STEPS, st.integers(1, 7))
def test_readers_see_what_the_model_says_however_they_read(steps: list[tuple[str, int | None]], at_most: int) -> None:
    log, model = build(steps)
    assert (log.end, log.last_stable()) == (len(model), stable(model))
    expected = {
        "read_committed": [n for n, each in enumerate(model) if each.fate == "committed" and n < stable(model)],
        "read_uncommitted": [n for n, each in enumerate(model) if each.fate != "marker"],
    }
    for isolation, offsets in expected.items():
        position, seen = 0, []
        while position < log.limit(isolation):  # type: ignore[arg-type]
            found, after = log.read(position, at_most, isolation)  # type: ignore[arg-type]
            assert after > position, "every read goes on"
            seen += [each.offset() for each in found]
            position = after
        assert seen == offsets


@given(STEPS)
def test_compaction_keeps_the_last_of_each_key_and_moves_no_end(steps: list[tuple[str, int | None]]) -> None:
    log, _ = build(steps)
    before, _ = log.read(0, 1_000, "read_committed")
    last = {each.key(): each for each in before}
    ends = (log.end, log.last_stable())
    uncommitted = list(log.read(log.last_stable(), 1_000, "read_uncommitted")[0])
    log.compact(drop_tombstones=False)
    after, position = log.read(0, 1_000, "read_committed")
    assert {each.key(): each for each in after} == last
    assert len(after) == len(last)
    assert (log.end, log.last_stable()) == ends
    assert position == log.last_stable()
    assert log.read(log.last_stable(), 1_000, "read_uncommitted")[0] == uncommitted
