"""The two programs speak as they promise: last lines, exit codes, and one sentence where the input is bad."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.valve.programs import TOP, VECTORS, started


@pytest.mark.parametrize("profile", ["main", "released"])
def test_the_runner_ends_with_its_count(profile: str) -> None:
    done = started("run_valve_cases.py", str(VECTORS), "--profile", profile)
    count = len(json.loads(VECTORS.read_bytes())["cases"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{count} cases, 0 mismatches"]


def test_the_runner_shows_each_mismatch_and_fails(tmp_path: Path) -> None:
    document = json.loads(VECTORS.read_bytes())
    document["cases"] = document["cases"][:2]
    document["cases"][0]["expect"][0] = [{"watermark": 1}]
    spoilt = tmp_path / "spoilt.json"
    spoilt.write_text(json.dumps(document))
    done = started("run_valve_cases.py", str(spoilt))
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[-1] == "2 cases, 1 mismatches"
    assert len(lines) == 2
    assert lines[0].startswith("single_advances, step 0: ")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "not a file of cases"),
        ('{"format": "valve-cases/1"}', 'no list of objects called "cases"'),
    ],
)
def test_the_runner_says_in_one_sentence_what_is_wrong_with_a_file(
    tmp_path: Path, content: str | None, sentence: str
) -> None:
    path = tmp_path / "cases.json"
    if content is not None:
        path.write_text(content)
    done = started("run_valve_cases.py", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def pipe(*lines: str, channels: str = "2", profile: str = "main") -> subprocess.CompletedProcess[str]:
    text = "".join(f"{line}\n" for line in lines)
    return started("valve_pipe.py", "--profile", profile, "--channels", channels, text=text)


def test_the_pipe_answers_each_operation_with_a_line() -> None:
    done = pipe(
        '{"op":"watermark","channel":0,"value":9223372036854775806}',
        '{"op":"watermark","channel":1,"value":-5}',
        '{"op":"status","channel":1,"value":"IDLE"}',
        '{"op":"status","channel":0,"value":"IDLE"}',
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        [],
        [{"watermark": -5}],
        [{"watermark": 9223372036854775806}],
        [{"status": "IDLE"}],
    ]


def test_the_pipe_answers_before_the_next_line_comes() -> None:
    command = [sys.executable, "tests/conformance/valve_pipe.py", "--channels", "1"]
    with subprocess.Popen(command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        for value in (1, 2):
            process.stdin.write(json.dumps({"op": "watermark", "channel": 0, "value": value}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == [{"watermark": value}]
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def test_the_pipe_follows_its_profile() -> None:
    case = next(
        case for case in json.loads(VECTORS.read_bytes())["cases"] if case["name"].startswith("reactivated_channel")
    )
    lines = [json.dumps(step) for step in case["steps"]]
    for profile, expected in (("main", case["expect"]), ("released", case["expect_released"])):
        done = pipe(*lines, channels=str(case["channels"]), profile=profile)
        assert [json.loads(line) for line in done.stdout.splitlines()] == expected


def test_the_pipe_takes_the_extension() -> None:
    done = pipe('{"op":"open"}', '{"op":"add_channel","channel":"p0","epoch":[1,2]}', channels="0")
    assert done.stdout.splitlines() == ['[{"status": "IDLE"}]', '[{"status": "ACTIVE"}]']


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "the line is not JSON"),
        ("[" * 60_000, "the line is not JSON"),
        ("5", 'an operation is an object with a string "op"'),
        ('{"op":"jump"}', '"jump" is no operation of a valve'),
        ('{"op":"watermark","channel":0}', '"value" of watermark is a signed 64-bit integer'),
        ('{"op":"watermark","channel":0,"value":5.0}', '"value" of watermark is a signed 64-bit integer'),
        ('{"op":"watermark","channel":0,"value":true}', '"value" of watermark is a signed 64-bit integer'),
        ('{"op":"watermark","channel":0,"value":9223372036854775808}', "a signed 64-bit integer"),
        ('{"op":"watermark","value":1}', '"channel" of watermark is a number or a string'),
        ('{"op":"watermark","channel":2,"value":1}', "there is no channel 2"),
        ('{"op":"status","channel":0,"value":"idle"}', '"value" of status is "IDLE" or "ACTIVE"'),
        ('{"op":"status","channel":0,"value":["IDLE"]}', '"value" of status is "IDLE" or "ACTIVE"'),
        ('{"op":"finish","channel":0,"epoch":"new"}', '"epoch" of finish is an integer'),
        ('{"op":"status","channel":0,"value":"' + "x" * 70_000 + '"}', "longer than 65536 bytes"),
    ],
)
def test_the_pipe_says_in_one_sentence_which_line_it_cannot_understand(line: str, sentence: str) -> None:
    done = pipe('{"op":"watermark","channel":0,"value":1}', line)
    assert (done.returncode, done.stdout) == (2, "[]\n")
    assert done.stderr.startswith("line 2: ")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("channels", ["-1", "many", "1.5", "2000000"])
def test_the_pipe_wants_a_sensible_number_of_channels(channels: str) -> None:
    done = started("valve_pipe.py", f"--channels={channels}", text="")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a number from 0 to 1000000" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_released_profile_has_no_extension() -> None:
    done = pipe('{"op":"open"}', profile="released")
    assert done.returncode == 2
    assert "use --profile main" in done.stderr


def test_the_pipe_ends_quietly_when_nobody_listens() -> None:
    command = [sys.executable, "tests/conformance/valve_pipe.py", "--channels", "1"]
    with subprocess.Popen(
        command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdout.close()
        process.stdin.write('{"op":"watermark","channel":0,"value":1}\n')
        process.stdin.close()
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
