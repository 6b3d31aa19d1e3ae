"""Files: JSON Lines and Parquet in a local folder, and in a store."""

from __future__ import annotations

import base64
import json
import resource
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from headgate.destinations.files.kinds import JsonLinesFiles, ParquetFiles
from headgate.ports.connectors import ConnectorContext, Delivery
from headgate.testing import DestinationConformance, GivenConnections, Seen, context_for
from headgate.testing.subject import Owners

COLUMNS = {"number": "int64", "text": "string"}


class OnFiles(DestinationConformance):
    values = "json"
    tombstones = "refused"
    carries_keys = False
    carries_headers = False

    @pytest.fixture(autouse=True)
    def a_folder(self, tmp_path: Path) -> Iterator[None]:
        self.folder = tmp_path / "out"
        self.folder.mkdir()
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        yield
        self.heal_other_side()

    def settings(self) -> Mapping[str, Any]:
        return {"folder": str(self.folder)}

    def broken_settings(self) -> Mapping[str, Any]:
        return {**self.settings(), "folder": str(self.folder / "missing")}

    def break_other_side(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, self.limits[1]))  # every write fails, as on a full disk

    def heal_other_side(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)

    def test_an_outage_fails_the_check(self, owners: Owners) -> None:
        self.folder.rename(self.folder.with_name("elsewhere"))
        assert [check.code for check in owners.check()] == ["destination.folder_missing"]


class OfObjects(OnFiles):
    def refused_value(self) -> bytes:
        return b"[1, 2]"

    def as_read(self, value: bytes | None) -> Any:
        return None if value is None else json.loads(value)


class TestJsonLines(OfObjects):
    kind = JsonLinesFiles()

    def read(self) -> Sequence[Seen]:
        paths = sorted(self.folder.glob("**/*.jsonl"))
        return [Seen(None, line) for path in paths for line in path.read_bytes().splitlines()]


class TestJsonLinesWithEnvelopes(OnFiles):
    kind = JsonLinesFiles()
    values = "any bytes"
    tombstones = "kept"
    carries_keys = True
    carries_headers = True

    def settings(self) -> Mapping[str, Any]:
        return {"folder": str(self.folder), "record": "envelope"}

    def read(self) -> Sequence[Seen]:
        found = []
        for path in sorted(self.folder.glob("*.jsonl")):
            for line in path.read_text().splitlines():
                it = json.loads(line)
                value = it["value"]
                headers = [(name, unshown(each)) for name, each in it["headers"]]
                shown = (
                    unshown(value) if not isinstance(value, dict) or "base64" in value else json.dumps(value).encode()
                )
                found.append(Seen(unshown(it["key"]), shown, headers))
        return found

    def as_read(self, value: bytes | None) -> Any:
        try:
            return None if value is None else json.loads(value)
        except ValueError:
            return value


class TestParquet(OfObjects):
    kind = ParquetFiles()

    def read(self) -> Sequence[Seen]:
        paths = sorted(self.folder.glob("**/*.parquet"))
        return [
            Seen(None, json.dumps(row).encode()) for path in paths for row in pq.ParquetFile(path).read().to_pylist()
        ]


class JsonLinesInStore(JsonLinesFiles):
    promises = ("at_least_once",)


class ParquetInStore(ParquetFiles):
    promises = ("at_least_once",)


class InStore(OfObjects):
    """`file://` through pyarrow: the path that an object store takes."""

    def settings(self) -> Mapping[str, Any]:
        return {"folder": "some/where", "connection": "lake"}

    def broken_settings(self) -> Mapping[str, Any]:
        return {"folder": "some/where", "connection": "no-such-store"}

    def context(self, delivery: Delivery, worker: str) -> ConnectorContext:
        connections = GivenConnections({"lake": {"kind": "files", "uri": f"file://{self.folder}"}})
        return context_for(delivery, worker=worker, connections=connections)

    def test_an_outage_fails_the_check(self, owners: Owners) -> None:
        connections = GivenConnections({"lake": {"kind": "files", "uri": "nonsense://key:secret@nowhere"}})
        self.context = lambda delivery, worker: context_for(delivery, worker=worker, connections=connections)  # type: ignore[method-assign]
        (check,) = [check for check in owners.check() if check.result == "failed"]
        assert "secret" not in check.model_dump_json()

    def test_exactly_once_is_refused_in_words(self) -> None:
        settings = self.kind.settings.model_validate(dict(self.settings()))
        (check, *_) = self.kind.check(settings, self.context("exactly_once", "worker-a"))
        assert (check.result, check.code) == ("failed", "delivery.not_promised")
        assert (
            check.message == "Files in a store are delivered at least once: it has no exclusive creation and no rename."
        )


class TestJsonLinesInStore(InStore):
    kind = JsonLinesInStore()

    read = TestJsonLines.read


class TestParquetInStore(InStore):
    kind = ParquetInStore()

    def settings(self) -> Mapping[str, Any]:
        return {"folder": "some/where", "connection": "lake", "columns": COLUMNS}

    read = TestParquet.read

    def test_columns_cannot_be_inferred_there(self) -> None:
        settings = self.kind.settings.model_validate({"folder": "some/where", "connection": "lake"})
        checks = self.kind.check(settings, self.context("at_least_once", "worker-a"))
        assert [check.code for check in checks if check.result == "failed"] == ["config.invalid"]


def unshown(shown: Any) -> bytes | None:
    if isinstance(shown, dict):
        return base64.b64decode(shown["base64"])
    return None if shown is None else str(shown).encode()
