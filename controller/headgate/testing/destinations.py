"""`DestinationConformance`: the suite as one class to derive from. Tests whose hook is not given are left out of it."""

from __future__ import annotations

from typing import Any, Final

from headgate.testing.definition import Definition
from headgate.testing.ownership import Ownership
from headgate.testing.subject import DestinationUnderTest
from headgate.testing.trouble import Trouble
from headgate.testing.visibility import Visibility

NEEDS: Final = {
    "test_a_broken_target_fails_its_check_in_words": "broken_settings",
    "test_an_outage_is_said_and_survived": "break_other_side",
    "test_an_outage_with_records_in_flight_is_survived_without_a_close": "break_other_side",
    "test_an_outage_fails_the_check": "break_other_side",
    "test_a_refused_record_is_named_and_the_others_survive": "refused_value",
}
"""The tests that need a hook which an author may leave out."""


class DestinationConformance(Definition, Visibility, Ownership, Trouble):
    """Checks a destination against what it promises, once for each promise that its kind declares.

    Derive a class whose name begins with `Test`, give `kind`, `settings()` and `read()`, and say in the other hooks of
    `DestinationUnderTest` what the destination carries and how its other side breaks. A test of the suite is replaced
    by one of the same name.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, hook in NEEDS.items():
            original = getattr(DestinationConformance, name)
            if getattr(cls, name) in {None, original}:
                given = getattr(cls, hook) is not getattr(DestinationUnderTest, hook)
                setattr(cls, name, original if given else None)
