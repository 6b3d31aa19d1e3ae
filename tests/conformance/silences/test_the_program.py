"""The program says in one sentence what is wrong with its input. What it does with right input is shown on a broker."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.conformance.run_silences import main
from tests.conformance.valve.programs import TOP, started

FLIGHTS = TOP / "controller/headgate/demo/data/nyc_departures_2013_02.csv.gz"
HEAD = "departure,origin\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory."),
        (b"", "has no column departure and no column origin."),
        (b"\x1f\x8b\x08\x00garbage", "is neither text nor text packed by gzip"),
        (gzip.compress(b"departure,origin\n2013-02-01T00:01,EWR\n")[:-6], "is neither text nor text packed by gzip"),
        (b"\xff\xfe\x00", "is neither text nor text packed by gzip"),
        (b"departure,airport\n2013-02-01T00:01,EWR\n", "has no column origin."),
        (HEAD.encode(), "has no departures."),
        (f"{HEAD}yesterday,EWR\n".encode(), "line 2: 'yesterday' is no time of departure like 2013-02-01T00:01."),
        (f"{HEAD}2013-02-01T00:01+01:00,EWR\n".encode(), "is no time of departure like"),
        (f"{HEAD}2013-02-01T00:01\n".encode(), "line 2: there is no origin."),
        (f"{HEAD}2013-02-02,EWR\n2013-02-01,JFK\n".encode(), "line 3: the departure is before that of the line above."),
        (f'{HEAD}2013-02-02,"EWR\n'.encode(), "unexpected end of data."),
        (
            HEAD.encode() + b"".join(b"2013-02-02,A%03d\n" % number for number in range(101)),
            "There are 101 origins, and each is a partition: 100 are the most.",
        ),
    ],
)
def test_a_file_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, sentence: str
) -> None:
    path = tmp_path / "departures.csv.gz"
    if content is not None:
        path.write_bytes(content)
    assert main([str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--threshold", "0"], "The threshold has to be between 1 and 100,000 minutes."),
        (["--threshold", "nan"], "The threshold has to be between 1 and 100,000 minutes."),
        (["--compression", "0"], "the compression has to be above 0 and at most 21600."),
        (["--compression", "nan"], "the compression has to be above 0 and at most 21600."),
        (["--compression", "100000"], "A gap of 180 minutes has to last 0.5 s at least in the replay"),
        (["--days", "0"], "There have to be more than 0 days."),
        (["--from", "2014-01-01"], "No departure lies between 2014-01-01 00:00:00 and the end"),
        (["--from", "soon"], "argument --from: invalid date or time value: 'soon'"),
        (["--days", "1", "--to", "2013-02-02"], "not allowed with argument"),
    ],
)
def test_options_that_make_no_sense(capsys: pytest.CaptureFixture[str], options: list[str], sentence: str) -> None:
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main([str(FLIGHTS), *options]))
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1


def test_it_runs_as_a_file_and_ends_with_2_for_bad_input(tmp_path: Path) -> None:
    done = started("run_silences.py", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{tmp_path} cannot be read: Is a directory.\n"


def test_help_says_what_is_compared() -> None:
    done = started("run_silences.py", "--help")
    assert done.returncode == 0
    assert "N edges expected, M mismatches" in done.stdout
