"""What a kind declares: a name, promises, settings that say no to what they do not know, and a check that is true."""

from __future__ import annotations

import json
import re
from typing import get_args

import pytest
from pydantic import ValidationError

from headgate.ports.connectors import Delivery
from headgate.ports.destination import PacesCommits, TakesAside
from headgate.testing.subject import DestinationUnderTest, Owners


class Definition(DestinationUnderTest):
    """Tests of the kind and its settings."""

    def test_the_kind_has_a_name_and_promises(self) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9_-]*", self.kind.name), "the name is what stands behind `kind:`"
        promises = list(self.kind.promises)
        assert promises
        assert promises == [each for each in get_args(Delivery) if each in promises], "the strongest first, each once"

    def test_settings_are_frozen(self) -> None:
        settings = self.kind.settings.model_validate(dict(self.settings()))
        assert settings.model_config.get("frozen") is True
        for name in type(settings).model_fields:
            with pytest.raises(ValidationError):
                setattr(settings, name, getattr(settings, name))

    def test_settings_forbid_unknown_keys(self) -> None:
        with pytest.raises(ValidationError, match="no_such_setting"):
            self.kind.settings.model_validate({**self.settings(), "no_such_setting": 1})

    def test_settings_have_a_json_schema_that_says_the_same(self) -> None:
        schema = json.loads(json.dumps(self.kind.settings.model_json_schema()))
        assert schema["type"] == "object"
        assert schema.get("additionalProperties") is False
        assert set(self.settings()) <= set(schema.get("properties", {}))

    def test_settings_survive_json(self) -> None:
        settings = self.kind.settings.model_validate(dict(self.settings()))
        again = self.kind.settings.model_validate(json.loads(json.dumps(dict(self.settings()))))
        assert again == settings, "a definition is JSON in an event"

    def test_where_the_positions_are_fits_the_promise(self, owners: Owners) -> None:
        destination = owners.destination()
        assert destination.positions_in in {"source", "source_transaction", "destination"}
        if self.delivery == "exactly_once" and self.keeps_records:
            assert destination.positions_in != "source", "positions committed apart from the records promise less"
        assert isinstance(destination.transactional_ids, tuple)
        assert all(destination.transactional_ids)
        if isinstance(destination, TakesAside):
            assert destination.positions_in == "source_transaction", "records aside need the source's transaction"
        destination.close()

    def test_a_good_target_passes_its_check_and_is_left_as_it_is(self, owners: Owners) -> None:
        before = list(self.read())
        checks = owners.check()
        assert checks, "a person who starts a stream sees what was looked at"
        assert [check for check in checks if check.result == "failed"] == []
        assert list(self.read()) == before

    def test_a_broken_target_fails_its_check_in_words(self, owners: Owners) -> None:
        failed = [check for check in owners.check(self.broken_settings()) if check.result == "failed"]
        assert failed
        for check in failed:
            assert check.code, "programs branch on the code"
            assert check.message, "people read the sentence"

    def test_commits_in_its_own_rhythm_are_answered_with_yes_or_no(self, owners: Owners) -> None:
        owner = owners.make()
        owner.begin(self.partition(0))
        owner.forward(self.records(3))
        if isinstance(owner.destination, PacesCommits):
            assert isinstance(owner.destination.commit_due(0.0), bool)
            assert owner.destination.commit_due(86_400.0) is True, "nothing waits for a day"
        owner.commit()
        self.sees(*self.records(3))
