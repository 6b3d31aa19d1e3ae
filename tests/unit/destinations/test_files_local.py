"""Files in a local folder: what is written, where it is gone on, who may go on, and what a reader never meets."""

from __future__ import annotations

import errno
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from headgate.destinations.files.journal import Journal
from headgate.destinations.files.kinds import JsonLinesFiles
from headgate.destinations.files.lines import parsed_lines
from headgate.destinations.files.local import LocalFiles
from headgate.ports.connectors import ConnectorUnavailable
from headgate.ports.destination import RecordRefused, StaleOwner, Token
from headgate.ports.log import Committed, TopicPartition
from headgate.testing import MadeRecord
from tests.support.file_system_steps import Steps
from tests.support.files import TOPIC, Owner, check_prefix, close_all, make, read, record
from tests.support.made import context

P0, P1 = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)
FIRST, SECOND = Token(7, 3, 10), Token(7, 3, 11)
KINDS = ("jsonl", "parquet")


@pytest.fixture(autouse=True)
def closed_in_the_end() -> Iterator[None]:
    yield
    close_all()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def beside(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / ".headgate" / "orders.7").iterdir())


def forward_and_commit(destination: LocalFiles, records: list[MadeRecord]) -> None:
    destination.forward(records)
    destination.commit({P0: Committed(records[-1].offset() + 1)}, None)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_can_be_seen_before_a_commit_and_all_of_it_after(kind: str, tmp_path: Path) -> None:
    owner = Owner(make(kind, tmp_path), FIRST, [0, 1])
    owner.take_on()
    owner.write(20)
    assert names(tmp_path) == []
    owner.commit()
    assert names(tmp_path) == [f"orders.7.flights.{number}.{1:020}.{kind}" for number in (0, 1)]
    assert check_prefix(tmp_path, [0, 1]) == {0: 17, 1: 17}


def test_records_are_forwarded_as_they_came(tmp_path: Path) -> None:
    destination = make("jsonl", tmp_path)
    destination.open()
    destination.positions({P0: FIRST})
    values = [b'{"b":1.50, "a":2}', b'{\r\n "text": "two\\nlines"\n}', b" {}"]
    destination.forward([MadeRecord(TOPIC, 0, number, value) for number, value in enumerate(values)])
    destination.commit({P0: Committed(3)}, None)
    (path,) = tmp_path.glob("*.jsonl")
    assert path.read_bytes() == b'{"b":1.50, "a":2}\n{   "text": "two\\nlines" }\n {}\n'


@pytest.mark.parametrize("value", [None, b"", b"[1]", b"nonsense", b'{"a":1}{"a":2}', b'{"a":[{}'])
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_that_is_no_object_is_refused_and_named(kind: str, value: bytes | None, tmp_path: Path) -> None:
    columns = {"columns": {"p": "int64", "n": "int64", "text": "string"}} if kind == "parquet" else {}
    destination = make(kind, tmp_path, **columns)
    destination.open()
    destination.positions({P0: FIRST})
    good = [record(0, number) for number in range(3)]
    bad = MadeRecord(TOPIC, 0, 3, value)
    with pytest.raises(RecordRefused, match=r"flights\[0\] at 3") as refused:
        forward_and_commit(destination, [*good, bad, record(0, 4)])
    assert refused.value.origin is bad
    destination.open()
    destination.positions({P0: FIRST})
    assert names(tmp_path) == []
    destination.forward([*good, record(0, 4)])
    destination.commit({P0: Committed(5)}, None)
    assert read(tmp_path) == {0: [0, 1, 2, 4]}


JSON = [
    b'{"a":-0.5e-7, "b":[true,false,null,{}], "c":{"d":"\\ud83d\\ude00 \\u00e4\\/"}}',
    b' \t{"a" : 1 }',
    b'{"a":1e999}',
    b'{"a":' + b"9" * 400 + b"}",
    b'{"a":1,"a":2}',
    '{"\u00e4":"\u20ac \x7f"}'.encode(),
    b'{"a":' + b"[" * 200 + b"]" * 200 + b"}",
]
NO_JSON = [
    *(b'{"a":%s}' % each for each in b"NaN -Infinity 01 1. .5 +1 1e 0x1 tru [1,]".split()),
    *(b'{"a":"%s"}' % each for each in b"\xff \xed\xa0\x80 \\x \\u12 \\ud800 \x01 \n".split(b" ")),
    *b'| |{,}|{"a":1,}|{"a"1}|{a:1}|{} {}|{}x|{}\x00|\xef\xbb\xbf{}|{"\xff":1}'.split(b"|"),
    b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
]


@pytest.mark.parametrize("value", JSON, ids=range(len(JSON)))
def test_every_json_object_is_a_line(value: bytes) -> None:
    assert isinstance(json.loads(value), dict)
    assert parsed_lines([b"{}", value], [record(0, 0), record(0, 1)]) == b"{}\n" + value + b"\n"


@pytest.mark.parametrize("value", NO_JSON, ids=range(len(NO_JSON)))
def test_what_is_not_quite_json_is_refused(value: bytes) -> None:
    with pytest.raises(RecordRefused, match="at 1"):
        parsed_lines([b"{}", value, b"{}"], [record(0, 0), record(0, 1), record(0, 2)])


def test_two_halves_of_an_object_do_not_make_one_of_two_records(tmp_path: Path) -> None:
    destination = make("parquet", tmp_path, columns={"a": [{"b": "int64"}]})
    destination.open()
    destination.positions({P0: FIRST})
    values = [b'{"a":[{}', b"{}]}", b"{}{}"]
    with pytest.raises(RecordRefused, match="at 0"):
        forward_and_commit(destination, [MadeRecord(TOPIC, 0, number, value) for number, value in enumerate(values)])


def test_a_value_on_trust_has_a_line_of_its_own_and_its_frame_is_looked_at(tmp_path: Path) -> None:
    destination = make("jsonl", tmp_path, check="framing")
    destination.open()
    destination.positions({P0: FIRST})
    values = [b'{"a":01}', b"{}", b'{\n"b":1}']
    with pytest.raises(RecordRefused, match="at 1"):
        destination.forward([MadeRecord(TOPIC, 0, number, value) for number, value in enumerate([b"{}", b"[1]"])])
    destination.open()
    destination.positions({P0: FIRST})
    destination.forward([MadeRecord(TOPIC, 0, number, value) for number, value in enumerate(values[:2])])
    destination.forward([MadeRecord(TOPIC, 0, 2, values[2])])
    destination.commit({P0: Committed(3)}, None)
    (path,) = tmp_path.glob("*.jsonl")
    assert path.read_bytes() == b'{"a":01}\n{}\n{ "b":1}\n'


@pytest.mark.parametrize("told", ["all of it", "an error", "nobody"])
def test_the_disk_begins_before_the_commit_where_it_can_be_told(
    told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges: list[tuple[int, int]] = []

    def advise(_descriptor: int, start: int, length: int, _advice: int) -> None:
        ranges.append((start, start + length))
        if told == "an error":
            raise OSError(errno.EINVAL, "no such advice here")

    if told == "nobody":
        monkeypatch.delattr("os.posix_fadvise", raising=False)
    else:
        monkeypatch.setattr("os.posix_fadvise", advise, raising=False)
    destination = make("jsonl", tmp_path)
    destination.open()
    destination.positions({P0: FIRST})
    value = b'{"text":"%s"}' % (b"x" * 1_000_000)
    for number in range(10):
        destination.forward([MadeRecord(TOPIC, 0, number, value)])
    destination.commit({P0: Committed(10)}, None)
    (path,) = tmp_path.glob("*.jsonl")
    assert path.read_bytes() == (value + b"\n") * 10
    size = len(value) + 1
    assert ranges == ([] if told == "nobody" else [(0, 5 * size), (5 * size, 10 * size)])


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_lines_are_compressed_as_the_settings_say(compression: str, tmp_path: Path) -> None:
    destination = make("jsonl", tmp_path, compression=compression)
    destination.open()
    destination.positions({P0: FIRST})
    for start in range(0, 3_000, 1_000):
        destination.forward([record(0, number) for number in range(start, start + 1_000)])
    destination.commit({P0: Committed(3_000)}, None)
    (path,) = (each for each in tmp_path.iterdir() if each.is_file())
    content = path.read_bytes()
    if compression == "gzip":
        assert path.name.endswith(".jsonl.gz")
        content = gzip.decompress(content)
    elif compression == "zstd":
        assert path.name.endswith(".jsonl.zst")
        with pa.input_stream(path, compression="zstd") as stream:
            content = stream.read()
    assert [json.loads(line)["n"] for line in content.splitlines()] == list(range(3_000))


def test_an_envelope_tells_where_a_record_came_from(tmp_path: Path) -> None:
    destination = make("jsonl", tmp_path, record="envelope")
    destination.open()
    destination.positions({P0: FIRST})
    headers = (("h", b"1"), ("h", b"\xff"), ("none", None))
    destination.forward(
        [
            MadeRecord(TOPIC, 0, 5, b'{"n": 1.0}', b"key", headers, 12),
            MadeRecord(TOPIC, 0, 6, None, b"\xff"),
            MadeRecord(TOPIC, 0, 7, b"plain"),
        ]
    )
    destination.commit({P0: Committed(8)}, None)
    (path,) = tmp_path.glob("*.jsonl")
    first, second, third = path.read_text().splitlines()
    assert first == (
        '{"topic":"flights","partition":0,"offset":5,"timestamp":12,"key":"key",'
        '"headers":[["h","1"],["h",{"base64":"/w=="}],["none",null]],"value":{"n": 1.0}}'
    )
    assert (json.loads(second)["value"], json.loads(second)["key"]) == (None, {"base64": "/w=="})
    assert json.loads(third)["value"] == {"base64": "cGxhaW4="}


def test_positions_and_their_texts_are_given_back_to_an_heir(tmp_path: Path) -> None:
    owner = Owner(make("jsonl", tmp_path), FIRST, [0, 1])
    assert owner.take_on() == {0: 0, 1: 0}
    owner.write(12)
    owner.commit()
    heir = Owner(make("jsonl", tmp_path), SECOND, [0, 1])
    assert heir.take_on() == {0: 12, 1: 12}


def test_positions_survive_that_a_loader_takes_the_finished_files_away(tmp_path: Path) -> None:
    owner = Owner(make("jsonl", tmp_path), FIRST, [0])
    owner.take_on()
    owner.write(12)
    owner.commit()
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    assert Owner(make("jsonl", tmp_path), SECOND, [0]).take_on() == {0: 12}
    assert names(tmp_path) == []


def test_a_commit_without_output_moves_the_position_and_makes_no_file(tmp_path: Path) -> None:
    owner = Owner(make("jsonl", tmp_path), FIRST, [0])
    owner.take_on()
    for position in range(1, 50):
        owner.destination.commit({P0: Committed(position, "text")}, None)
    assert names(tmp_path) == []
    assert len(beside(tmp_path)) <= 6
    destination = make("jsonl", tmp_path)
    destination.open()
    assert destination.positions({P0: SECOND}) == {P0: Committed(49, "text")}


def test_a_stream_made_anew_and_another_stream_begin_at_nothing_in_the_same_folder(tmp_path: Path) -> None:
    owner = Owner(make("jsonl", tmp_path), FIRST, [0])
    owner.take_on()
    owner.write(12)
    owner.commit()
    for stream, incarnation in (("orders", 8), ("orders-7", 7)):
        kind = JsonLinesFiles()
        settings = kind.settings.model_validate({"folder": str(tmp_path)})
        other = kind.destination(settings, context(stream, incarnation))
        other.open()
        assert other.positions({P0: Token(incarnation, 1, 1)}) == {}
        other.forward([record(0, 0)])
        other.commit({P0: Committed(1)}, None)
    assert len(names(tmp_path)) == 3


def test_records_written_again_on_request_are_in_files_that_say_so(tmp_path: Path) -> None:
    owner = Owner(make("jsonl", tmp_path), FIRST, [0])
    owner.take_on()
    owner.write(12)
    owner.commit()
    again = Owner(make("jsonl", tmp_path), Token(7, 9, 1), [0])
    again.take_on()
    again.at[0] = 0
    again.commit()
    again.write(12)
    again.commit()
    first, second = names(tmp_path)
    assert first == f"orders.7.flights.0.{1:020}.again-5.jsonl"
    assert second == f"orders.7.flights.0.{1:020}.jsonl"
    assert read(tmp_path)[0] == 2 * [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]


def test_a_lower_token_is_refused_and_an_equal_one_is_the_same_owner(tmp_path: Path) -> None:
    Owner(make("jsonl", tmp_path), SECOND, [0]).take_on()
    Owner(make("jsonl", tmp_path), SECOND, [0]).take_on()
    with pytest.raises(StaleOwner):
        Owner(make("jsonl", tmp_path), FIRST, [0]).take_on()


def test_a_predecessor_that_commits_after_its_heir_took_over_is_told_so(tmp_path: Path) -> None:
    owner, heir = Owner(make("jsonl", tmp_path), FIRST, [0]), Owner(make("jsonl", tmp_path), SECOND, [0])
    owner.take_on()
    owner.write(12)
    assert heir.take_on() == {0: 0}
    with pytest.raises(StaleOwner):
        owner.commit()
    heir.write(20)
    heir.commit()
    owner.destination.close()
    assert check_prefix(tmp_path, [0]) == {0: 17}
    assert not [name for name in beside(tmp_path) if name.endswith(".staged")]


def test_a_sleeper_whose_number_was_cleared_away_long_ago_is_told_so(tmp_path: Path) -> None:
    owner, heir = Owner(make("jsonl", tmp_path), FIRST, [0]), Owner(make("jsonl", tmp_path), SECOND, [0])
    owner.take_on()
    owner.write(12)
    heir.take_on()
    for _ in range(20):
        heir.write(10)
        heir.commit()
    with pytest.raises(StaleOwner):
        owner.commit()
    owner.destination.open()
    assert Owner(make("jsonl", tmp_path), SECOND, [0]).take_on() == {0: 200}
    assert check_prefix(tmp_path, [0]) == {0: 171}


def test_what_a_deleted_streams_killed_worker_left_is_finished_or_removed_when_its_name_is_used_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise InterruptedError

    owner = Owner(make("jsonl", tmp_path), FIRST, [0, 1])
    owner.take_on()
    owner.write(12)
    monkeypatch.setattr(Journal, "settle", interrupted)
    with pytest.raises(ConnectorUnavailable):
        owner.commit()  # killed between the entries and the names of their files
    monkeypatch.undo()
    for staged in owner.destination._staged.values():
        staged._sink.close()
    owner.destination._staged.clear()
    late = Owner(make("jsonl", tmp_path), SECOND, [2])
    late.take_on()
    late.write(12)
    assert names(tmp_path) == []
    kind = JsonLinesFiles()
    anew = kind.destination(kind.settings.model_validate({"folder": str(tmp_path)}), context(incarnation=8))
    anew.open()
    assert check_prefix(tmp_path, [0, 1]) == owner.written()
    assert len([name for name in beside(tmp_path) if name.endswith(".staged")]) == 1, "what is still written stays"
    late.destination._staged[TopicPartition(TOPIC, 2)]._sink.close()
    late.destination._staged.clear()
    anew.open()
    assert not [name for name in beside(tmp_path) if name.endswith(".staged")]


def test_a_run_that_is_fenced_commits_no_more_and_what_it_committed_stays(tmp_path: Path) -> None:
    kind = JsonLinesFiles()
    settings = kind.settings.model_validate({"folder": str(tmp_path)})
    kind.fence(settings, context(), {P0: SECOND})  # nothing is there, so nobody can commit
    owner = Owner(make("jsonl", tmp_path), FIRST, [0])
    owner.take_on()
    owner.write(12)
    owner.commit()
    owner.write(12)
    higher = Token(7, 4, 0)
    for _ in range(3):
        kind.fence(settings, context(), {P0: higher, P1: higher})
    with pytest.raises(StaleOwner):
        owner.commit()
    with pytest.raises(StaleOwner):
        owner.take_on()
    heir = Owner(make("jsonl", tmp_path), Token(7, 5, 1), [0])
    assert heir.take_on() == {0: 12}
    kind.fence(settings, context(), {P0: higher})
    heir.write(5)
    heir.commit()
    assert check_prefix(tmp_path, [0]) == heir.written()


@pytest.fixture(scope="module")
def steps() -> Steps:
    return Steps(Path("/"))


@pytest.mark.parametrize("kind", KINDS)
def test_an_heir_may_come_at_any_point_of_its_predecessors_commit(kind: str, steps: Steps, tmp_path: Path) -> None:
    outcomes = set()
    for number in range(200):
        folder = tmp_path / str(number)
        folder.mkdir()
        owner, heir = Owner(make(kind, folder), FIRST, [0, 1]), Owner(make(kind, folder), SECOND, [0, 1])
        owner.take_on()
        owner.write(10)
        owner.commit()
        owner.write(10)

        def take_over(heir: Owner = heir) -> None:
            heir.take_on()
            heir.write(15)
            heir.commit()

        with steps.act_before(number, take_over):
            try:
                owner.commit()
                outcomes.add("committed")
            except StaleOwner:
                outcomes.add("stale")
        if not steps.acted:
            assert number > 10
            break
        check_prefix(folder, [0, 1])
        owner.destination.close()
        heir.write(5)
        heir.commit()
        assert check_prefix(folder, [0, 1]) == heir.written()
        assert not [name for name in beside(folder) if not name.endswith(".json")]
    else:
        pytest.fail("the commit never came to its end")
    assert "stale" in outcomes


@pytest.mark.parametrize("kind", KINDS)
def test_a_predecessor_may_commit_at_any_point_of_its_heirs_coming(kind: str, steps: Steps, tmp_path: Path) -> None:
    outcomes = set()
    for number in range(200):
        folder = tmp_path / str(number)
        folder.mkdir()
        owner, heir = Owner(make(kind, folder), FIRST, [0, 1]), Owner(make(kind, folder), SECOND, [0, 1])
        owner.take_on()
        owner.write(10)
        owner.commit()
        owner.write(10)

        def go_on(owner: Owner = owner) -> None:
            try:
                owner.commit()
                outcomes.add("committed")
                owner.write(3)
                owner.commit()
            except StaleOwner:
                outcomes.add("stale")

        with steps.act_before(number, go_on):
            try:
                heir.take_on()
            except StaleOwner:  # the predecessor was quicker; the heir begins anew
                outcomes.add("heir began anew")
        if not steps.acted:
            break
        check_prefix(folder, [0, 1])
        owner.destination.close()
        heir.take_on()
        heir.write(5)
        heir.commit()
        assert check_prefix(folder, [0, 1]) == heir.written()
    else:
        pytest.fail("the heir never came to its end")
    assert outcomes == {"committed", "stale", "heir began anew"}
