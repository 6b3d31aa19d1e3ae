"""The suite sees what it is there for: each mistake that an author may make is caught by the test that names it.

The mistakes are put, one at a time, into the destination of docs/writing-a-destination.md, which passes the suite.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.conformance.destinations.test_the_page import CODE, SUITE


class Mistake(NamedTuple):
    """What an author wrote instead, and the test that has to fail for it."""

    right: str
    wrong: str
    caught_by: str


TAKE_ON = "self.taken_on += outputs"
FORGET = "self.taken_on, self.owned = [], {}"
GUARD = "if self.standing(partition) != self.owned[partition]:"
MISTAKES = {
    "takes a lower token": Mistake("if token < newest:", "if False:", "a_lower_token_is_a_stale_owner"),
    "compares the claim alone": Mistake(
        "if token < newest:", "if token.claim < newest.claim:", "a_higher_token_takes_over_by_whichever_part_is_higher"
    ),
    "commits without looking who owns": Mistake(
        GUARD, "if False:", "an_heir_fences_a_predecessor_that_is_about_to_write"
    ),
    "looks at the position alone": Mistake(
        GUARD,
        "if self.standing(partition)[1:] != self.owned[partition][1:]:",
        "an_heir_fences_a_predecessor_that_has_written",
    ),
    "lets an heir in without noting it": Mistake(
        "row = (self.stream, *partition, *token, *stands)",
        "row = (self.stream, *partition, *max(newest, Token(1, 3, 1)), *stands)",
        "an_heir_fences_a_predecessor_that_has_written",
    ),
    "writes before the commit": Mistake(
        TAKE_ON,
        'self.database.executemany("INSERT INTO events (key, value) VALUES (?, ?)", [o[1::-1] for o in outputs])',
        "nothing_counts_before_its_commit",
    ),
    "keeps what was in flight when it begins anew": Mistake(
        FORGET, 'self.taken_on, self.owned = getattr(self, "taken_on", []), {}', "the_same_owner_begins_anew"
    ),
    "drops what is in flight when it takes on more": Mistake(
        "def positions(self, claims):",
        "def positions(self, claims):\n        self.taken_on = []",
        "a_further_partition_does_not_touch_what_is_in_flight",
    ),
    "forgets the text beside a position": Mistake(
        "*self.owned[partition][0], *committed)",
        '*self.owned[partition][0], committed.position, "")',
        "positions_come_back_exactly_with_their_text",
    ),
    "moves no position without a record": Mistake(
        "def commit(self, positions, proof):",
        "def commit(self, positions, proof):\n        if not self.taken_on:\n            return",
        "a_commit_with_nothing_written_but_moved_positions",
    ),
    "commits records again that it has committed": Mistake(
        "        self.taken_on = []\n        self.owned |=", "        self.owned |=", "many_small_batches_and_commits"
    ),
    "turns the order round": Mistake(
        "for output in self.taken_on:", "for output in reversed(self.taken_on):", "order_is_kept_within_each_partition"
    ),
    "keeps the last output of a record only": Mistake(
        TAKE_ON,
        "self.taken_on += {output.origin: output for output in outputs}.values()",
        "several_outputs_of_one_record",
    ),
    "takes an empty value for none": Mistake(
        "(output.key, output.value))", "(output.key, output.value or None))", "an_empty_value_is_not_a_missing_one"
    ),
    "takes no value for an empty one": Mistake(
        "(output.key, output.value))", '(output.key, output.value or b""))', "a_record_without_a_value"
    ),
    "reads values as text": Mistake(
        "(output.key, output.value))",
        '(output.key, output.value and output.value.decode("utf-8", "replace").encode()))',
        "values_are_carried_whatever_they_are",
    ),
    "names another record than the refused one": Mistake(
        "origin=output.origin", "origin=self.taken_on[0].origin", "a_refused_record_is_named"
    ),
    "takes an outage for the end": Mistake(
        "in PASSES else ConnectorRefused", "in () else ConnectorRefused", "an_outage_is_said_and_survived"
    ),
    "does not say what went wrong in a class": Mistake(
        "except sqlite3.Error as error:", "except ZeroDivisionError as error:", "an_outage_is_said_and_survived"
    ),
    "can only be closed once": Mistake(
        "        if self.database is not None:\n",
        "        assert self.database or not hasattr(self, 'owned')\n        if self.database is not None:\n",
        "closing_never_raises_and_may_be_done_twice",
    ),
    "takes unknown settings": Mistake('extra="forbid"', 'extra="ignore"', "settings_forbid_unknown_keys"),
    "has settings that change": Mistake("frozen=True", "frozen=False", "settings_are_frozen"),
    "passes a check whatever it finds": Mistake(
        'result="failed"', 'result="passed"', "a_broken_target_fails_its_check_in_words"
    ),
}


def class_of(number: int) -> str:
    return f"TestMistake{number:02d}"


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Run, for each mistake, the test that has to catch it; return the names of the tests that failed, by class."""
    folder = tmp_path_factory.mktemp("mistakes")
    head, _, body = SUITE.partition("class TestSqlite(")
    text = head.replace("from acme_sqlite import Sqlite\n", "")
    for number, mistake in enumerate(MISTAKES.values()):
        assert CODE.count(mistake.right) >= 1, f"the page does not hold {mistake.right!r} any more"
        (folder / f"acme_{number}.py").write_text(CODE.replace(mistake.right, mistake.wrong), encoding="utf-8")
        name = class_of(number)
        own = body.replace("kind = Sqlite()", f"kind = __import__('acme_{number}').Sqlite()")
        text += f"class {name}({own}\n"
        text += f"for each in dir({name}):\n    if each.startswith('test_') and {mistake.caught_by!r} not in each:\n"
        text += f"        setattr({name}, each, None)\n\n"
    (folder / "test_mistakes.py").write_text(text, encoding="utf-8")
    options = ["-q", "--tb=no", "-rf", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=folder, capture_output=True, text=True, timeout=110
    )
    found: dict[str, set[str]] = {}
    for name, test in re.findall(r"^FAILED \S+::(TestMistake\d+)::test_(\w+)", done.stdout, re.MULTILINE):
        found.setdefault(name, set()).add(test)
    assert found, done.stdout + done.stderr
    return found


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_a_destination_that(failed: dict[str, set[str]], mistake: str) -> None:
    number = list(MISTAKES).index(mistake)
    caught = failed.get(class_of(number), set())
    assert any(MISTAKES[mistake].caught_by in test for test in caught), f"nothing caught a destination that {mistake}"
