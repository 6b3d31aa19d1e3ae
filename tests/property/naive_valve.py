"""The rules of the valve and the combiner once more, in the plainest way: walk over everything at every step.

Written from the rules alone and sharing nothing with the real classes but the numbers MIN and MAX, so that one checks
the other. Outputs are pairs ("watermark", value) and ("status", name).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MIN = -(2**63)
MAX = 2**63 - 1
Out = list[tuple[str, Any]]


@dataclass
class Row:
    watermark: int = MIN
    status: str = "ACTIVE"
    aligned: bool = True
    epoch: int | None = None


class NaiveValve:
    def __init__(self, channels: list[Any], released: bool = False) -> None:
        self.rows = {channel: Row() for channel in channels}
        self.released = released
        self.watermark = MIN
        self.status = "ACTIVE"
        self.closed = False
        self.fences: dict[Any, int] = {}

    def _any(self, status: str) -> bool:
        return any(row.status == status for row in self.rows.values())

    def _minimum(self) -> int | None:
        return min((row.watermark for row in self.rows.values() if row.aligned), default=None)

    def _raise_to(self, candidate: int | None, out: Out, but_not: int | None = None) -> None:
        if candidate is not None and candidate > self.watermark and candidate != but_not:
            self.watermark = candidate
            out.append(("watermark", candidate))

    def _turn(self, status: str, out: Out) -> None:
        if self.status != status:
            self.status = status
            out.append(("status", status))

    def _someone_left(self, out: Out, look: bool = True, but_not: int | None = None) -> None:
        if self._any("ACTIVE"):
            if look:
                self._raise_to(self._minimum(), out, but_not)
            return
        if look:
            idle = [row.watermark for row in self.rows.values() if row.status == "IDLE"]
            self._raise_to(max(idle, default=None), out, but_not)
        self._turn("IDLE", out)

    def _meet(self, channel: Any, epoch: int | None) -> tuple[Row | None, bool]:
        row = None if self.closed else self.rows.get(channel)
        if row is None or epoch is None or epoch == row.epoch:
            return row, False
        if row.epoch is not None and epoch < row.epoch:
            return None, False
        row.epoch = epoch
        return row, True

    def _return(self, row: Row, out: Out) -> None:
        row.status = "ACTIVE"
        row.aligned = row.watermark >= self.watermark
        self._turn("ACTIVE", out)

    def input_watermark(self, channel: Any, value: int, epoch: int | None = None) -> Out:
        out: Out = []
        row, new = self._meet(channel, epoch)
        if row is None or (row.status != "ACTIVE" and not new):
            return out
        if row.status != "ACTIVE":
            self._return(row, out)
        elif value <= row.watermark:
            return out
        row.watermark = max(row.watermark, value)
        row.aligned = row.aligned or row.watermark >= self.watermark
        self._raise_to(self._minimum(), out)
        return out

    def input_status(self, channel: Any, status: str, epoch: int | None = None) -> Out:
        out: Out = []
        row, new = self._meet(channel, epoch)
        if row is None or row.status == status or (row.status == "FINISHED" and not new):
            return out
        if status == "ACTIVE":
            self._return(row, out)
            if not self.released:
                self._raise_to(self._minimum(), out)
            return out
        was_active = row.status == "ACTIVE"
        row.status, row.aligned = "IDLE", False
        if was_active:
            self._someone_left(out, look=not self.released or row.watermark == self.watermark)
        return out

    def finish(self, channel: Any, epoch: int | None = None) -> Out:
        out: Out = []
        row, _ = self._meet(channel, epoch)
        if row is None or row.status == "FINISHED":
            return out
        was_active = row.status == "ACTIVE"
        row.status, row.aligned = "FINISHED", False
        if not self._any("ACTIVE") and not self._any("IDLE"):
            self._turn("ACTIVE", out)
            self._raise_to(MAX, out)
            self.closed = True
        elif was_active:
            self._someone_left(out)
        return out

    def open(self) -> Out:
        out: Out = []
        if not self.closed and not self._any("ACTIVE"):
            self._turn("IDLE", out)
        return out

    def add(self, channel: Any, seed: int | None, status: str, hold: bool, epoch: int | None) -> Out:
        out: Out = []
        fence = self.fences.get(channel)
        if self.closed or channel in self.rows or (epoch is not None and fence is not None and epoch < fence):
            return out
        self.fences.pop(channel, None)
        known = seed is not None and seed != MIN
        row = Row(seed if known and seed is not None else MIN, status, False, fence if epoch is None else epoch)
        self.rows[channel] = row
        if status == "IDLE":
            if not self._any("ACTIVE"):
                self._turn("IDLE", out)
            return out
        row.aligned = row.watermark >= self.watermark or (hold and not known)
        self._turn("ACTIVE", out)
        self._raise_to(self._minimum(), out)
        return out

    def remove(self, channel: Any, epoch: int | None) -> Out:
        out: Out = []
        row = self.rows.get(channel)
        if self.closed or row is None or (epoch is not None and row.epoch is not None and epoch < row.epoch):
            return out
        del self.rows[channel]
        fence = row.epoch if epoch is None else epoch
        if fence is not None:
            self.fences[channel] = fence
        if row.status == "ACTIVE":
            self._someone_left(out, but_not=MAX)
        return out


class NaiveCombiner:
    def __init__(self, inputs: int, flush: bool) -> None:
        self.rows = [Row() for _ in range(inputs)]
        self.flush = flush
        self.watermark = MIN
        self.idle = False

    def step(self, number: int, watermark: int | None, idle: bool) -> Out:
        row = self.rows[number]
        if watermark is not None:
            row.watermark = max(row.watermark, watermark)
        row.status = "IDLE" if idle else "ACTIVE"
        active = [each.watermark for each in self.rows if each.status == "ACTIVE"]
        every = [each.watermark for each in self.rows]
        candidate = min(active) if active else max(every) if self.flush else MIN
        out: Out = []
        if candidate > self.watermark:
            self.watermark = candidate
            out.append(("watermark", candidate))
        if self.idle is bool(active):
            self.idle = not active
            out.append(("status", "IDLE" if self.idle else "ACTIVE"))
        return out
