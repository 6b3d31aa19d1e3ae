"""Texts, times and durations as people read and write them."""

from __future__ import annotations

import pytest

from headgate.cli.wording import age, duration_s, future_ms, moment_ms, past_ms, plural, safe, seconds, when
from headgate_events.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain → text", "plain → text"),
        ("two\nlines\r\nhere", "two lines here"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("\x9b2Jgone", "2Jgone"),
        ("right\u202eto left", "right to left"),
        ("tab\there", "tab here"),
    ],
)
def test_a_text_from_the_log_cannot_move_the_cursor(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_a_long_text_is_cut_and_says_so() -> None:
    assert safe("a" * 100, 10) == "a" * 9 + "…"


@pytest.mark.parametrize(
    ("since_s", "shown"),
    [
        (0, "0s"), (59, "59s"), (60, "1m"), (70, "1m10s"), (599, "9m59s"), (601, "10m"), (3_600, "1h"),
        (3_660, "1h1m"), (36_000, "10h"), (172_000, "47h"), (172_800, "2d"), (-5, "0s"),
    ],
)  # fmt: skip
def test_an_age_has_at_most_two_units(since_s: int, shown: str) -> None:
    assert age(1_000_000_000_000, 1_000_000_000_000 + since_s * 1_000) == shown


def test_a_time_is_written_as_it_is_read() -> None:
    assert when(1_767_225_600_042) == "2026-01-01T00:00:00.042Z"
    assert moment_ms(when(1_767_225_600_042), "--at") == 1_767_225_600_042


@pytest.mark.parametrize(
    ("text", "found"),
    [("30", 30.0), ("30s", 30.0), ("500ms", 0.5), ("5m", 300.0), ("1h30m", 5_400.0), ("2d", 172_800.0), ("0.5s", 0.5)],
)
def test_durations_are_read(text: str, found: float) -> None:
    assert duration_s(text, "--timeout") == pytest.approx(found)


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5 minutes", "5w", "1e3", "s", "٣s"])
def test_what_is_no_duration_is_refused_by_the_option_s_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--timeout is not a duration"):
        duration_s(text, "--timeout")


def test_a_duration_has_a_bound() -> None:
    with pytest.raises(InvalidRequest, match="longer than a year"):
        duration_s("400d", "--timeout")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("yesterday", "is not a time"),
        ("2026-13-01T00:00:00Z", "is not a time"),
        ("2026-01-01T00:00:00", "does not say its time zone"),
        ("1960-01-01T00:00:00Z", "lies before 1970"),
    ],
)
def test_what_is_no_time_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        moment_ms(text, "--at")


def test_a_time_may_have_any_zone_or_be_epoch_milliseconds() -> None:
    assert moment_ms("2026-01-01T01:00:00+01:00", "--at") == 1_767_225_600_000
    assert moment_ms("1767225600000", "--at") == 1_767_225_600_000


def test_a_relative_time_counts_from_now() -> None:
    assert past_ms("15m", "--since", 10_000_000) == 9_100_000
    assert future_ms("2h", "--not-before", 0) == 7_200_000


def test_counts_and_lengths_read_well() -> None:
    assert (plural(1, "file"), plural(2_000, "file")) == ("1 file", "2,000 files")
    assert (seconds(0.84), seconds(42), seconds(300)) == ("0.8 s", "42 s", "5 min")
