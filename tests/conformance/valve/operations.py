"""Operations and outputs in the form of the vectors, for whatever plays them: the case runner and the pipe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from headgate_events.idleness.channel_set import Epoch
from headgate_events.idleness.signals import MAX, MIN, Signal, Status, Watermark
from headgate_events.idleness.valve import Join, WatermarkValve

ChannelId: TypeAlias = int | str
Output: TypeAlias = dict[str, Any]

PLAIN: Final = ("watermark", "status")
EXTENSION: Final = ("open", "add_channel", "remove_channel", "finish")


class BadOperation(ValueError):
    """The operation cannot be understood; the message is a sentence for whoever wrote it."""


def shown(signals: Sequence[Signal]) -> list[Output]:
    """Return what left in one step, in the vectors' form."""
    return [{"watermark": s.value} if isinstance(s, Watermark) else {"status": s.status.value} for s in signals]


def canonical(outputs: object) -> str:
    """Return the one text of some outputs, so that true is not 1 and 5.0 is not 5."""
    return json.dumps(outputs, sort_keys=True)


def operation_of(step: object) -> str:
    if not isinstance(step, dict) or not isinstance(step.get("op"), str):
        raise BadOperation('an operation is an object with a string "op"')
    op: str = step["op"]
    return op


def value_of(step: Mapping[str, Any], name: str = "value") -> int:
    value = step.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not MIN <= value <= MAX:
        raise BadOperation(f'"{name}" of {step["op"]} is a signed 64-bit integer')
    return value


def status_of(step: Mapping[str, Any], name: str = "value") -> Status:
    value = step.get(name)
    if not isinstance(value, str) or value not in ("IDLE", "ACTIVE"):
        raise BadOperation(f'"{name}" of {step["op"]} is "IDLE" or "ACTIVE"')
    return Status(value)


def channel_of(step: Mapping[str, Any]) -> ChannelId:
    channel = step.get("channel")
    if not isinstance(channel, (int, str)) or isinstance(channel, bool):
        raise BadOperation(f'"channel" of {step["op"]} is a number or a string')
    return channel


def epoch_of(step: Mapping[str, Any]) -> Epoch | None:
    epoch = step.get("epoch")
    if epoch is None:
        return None
    parts = epoch if isinstance(epoch, list) else [epoch]
    if not parts or not all(isinstance(part, int) and not isinstance(part, bool) for part in parts):
        raise BadOperation(f'"epoch" of {step["op"]} is an integer, or a list of integers that are compared in order')
    return tuple(parts)


def step_valve(valve: WatermarkValve[ChannelId], step: Mapping[str, Any], join: Join = Join.HOLD) -> list[Signal]:
    """Apply one operation to a valve and return what leaves it; BadOperation when it is not one of a valve's."""
    op = operation_of(step)
    if op == "open":
        return valve.open()
    if op not in PLAIN + EXTENSION:
        raise BadOperation(f'"{op[:40]}" is no operation of a valve; there are {", ".join(PLAIN + EXTENSION)}')
    channel, epoch = channel_of(step), epoch_of(step)
    if op == "watermark":
        return valve.input_watermark(channel, value_of(step), epoch)
    if op == "status":
        return valve.input_status(channel, status_of(step), epoch)
    if op == "finish":
        return valve.finish(channel, epoch)
    if op == "remove_channel":
        return valve.remove(channel, epoch)
    if "join" in step:
        if step["join"] not in ("hold", "skip"):
            raise BadOperation('"join" of add_channel is "hold" or "skip"')
        join = Join(step["join"])
    status = status_of(step, "status") if "status" in step else Status.ACTIVE
    seed = value_of(step) if step.get("value") is not None else None
    return valve.add(channel, watermark=seed, status=status, join=join, epoch=epoch)
