"""Plays a case of the vectors through our classes, whatever component it is of, and compares step by step.

`valve_ext` and the combiner have one behaviour: no released Flink has the extension, and the releases 2.2.1 and 2.3.0
combine as main does. `--profile released` therefore changes the valves of `valve` and `topology` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from headgate.core.idleness.idle_timer import IdleTimer
from headgate_events.idleness.combiner import WatermarkCombiner
from headgate_events.idleness.gate import OutputGate
from headgate_events.idleness.signals import Edge, Signal, Watermark
from headgate_events.idleness.valve import Join, Profile, WatermarkValve
from tests.conformance.valve.operations import (
    BadOperation,
    ChannelId,
    Output,
    canonical,
    channel_of,
    operation_of,
    shown,
    status_of,
    step_valve,
    value_of,
)

MAX_CHANNELS: Final = 1_000_000

Step: TypeAlias = Mapping[str, Any]
Player: TypeAlias = Callable[[Step], list[Output]]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One step, or a whole case where `step` is None, that did not come out as expected."""

    case: str
    step: int | None
    problem: str

    def __str__(self) -> str:
        where = "" if self.step is None else f", step {self.step}"
        return f"{self.case}{where}: {self.problem}"


def play(case: Mapping[str, Any], profile: Profile) -> list[Mismatch]:
    """Return where the case comes out differently than it expects under this profile."""
    name = str(case.get("name", "a case without a name"))
    expected = case.get("expect_released", case.get("expect")) if profile is Profile.RELEASED else case.get("expect")
    steps = case.get("steps")
    if not isinstance(steps, list) or not isinstance(expected, list) or len(steps) != len(expected):
        return [Mismatch(name, None, "it needs as many expectations as steps")]
    mismatches = []
    try:
        player = _player(case, profile)
    except BadOperation as error:
        return [Mismatch(name, None, str(error))]
    for number, (step, wanted) in enumerate(zip(steps, expected, strict=True)):
        try:
            got = player(step)
        except BadOperation as error:
            mismatches.append(Mismatch(name, number, str(error)))
            break
        except RecursionError:
            mismatches.append(Mismatch(name, number, "the nodes are wired in a circle"))
            break
        if canonical(got) != canonical(wanted):
            said = f"{canonical(step)} gave {canonical(got)} instead of {canonical(wanted)}"
            mismatches.append(Mismatch(name, number, said))
    return mismatches


def _player(case: Mapping[str, Any], profile: Profile) -> Player:
    match case.get("component"):
        case "valve":
            return _valve(case, profile)
        case "valve_ext":
            return _valve(case, Profile.MAIN)
        case "combiner":
            return _combiner(case)
        case "gate":
            return _gate()
        case "idle_timer":
            return _idle_timer(case)
        case "topology":
            return _topology(case, profile)
        case other:
            raise BadOperation(f"no component is called {other!r} here")


def _channels(given: object) -> list[ChannelId]:
    """Return the channels of a count or of a list of names."""
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= MAX_CHANNELS:
        return list(range(given))
    named = isinstance(given, list) and all(
        isinstance(each, (int, str)) and not isinstance(each, bool) for each in given
    )
    if isinstance(given, list) and named and len(set(given)) == len(given):
        return given
    raise BadOperation(f'"channels" is a count or a list of names: up to {MAX_CHANNELS}, and each once')


def _flushes(case: Mapping[str, Any]) -> bool:
    flush = case.get("flush_on_all_idle", "max")
    if flush not in ("max", "none"):
        raise BadOperation('"flush_on_all_idle" is "max" or "none"')
    return bool(flush == "max")


def _valve(case: Mapping[str, Any], profile: Profile) -> Player:
    channels, flush = _channels(case.get("channels")), _flushes(case)
    valve = WatermarkValve(channels, profile=profile, flush_on_all_idle=flush)
    if case.get("join", "hold") not in ("hold", "skip"):
        raise BadOperation('"join" is "hold" or "skip"')
    join = Join(case.get("join", "hold"))
    return lambda step: shown(step_valve(valve, step, join))


def _combiner(case: Mapping[str, Any]) -> Player:
    inputs = len(_channels(case.get("channels")))
    if not inputs:
        raise BadOperation("a combiner has one input at least")
    combiner = WatermarkCombiner(inputs, flush_on_all_idle=_flushes(case))

    def player(step: Step) -> list[Output]:
        op, number = operation_of(step), channel_of(step)
        if not isinstance(number, int) or not 0 <= number < inputs:
            raise BadOperation(f"a combiner's inputs are numbered, here from 0 to {inputs - 1}")
        if op == "watermark":
            return shown(combiner.input_watermark(number, value_of(step)))
        if op == "status":
            return shown(combiner.input_status(number, status_of(step)))
        raise BadOperation(f'"{op}" is no operation of a combiner')

    return player


def _gate() -> Player:
    gate = OutputGate()

    def player(step: Step) -> list[Output]:
        op = operation_of(step)
        if op == "record":
            return [{"record": step.get("value", step.get("record"))}]
        if op not in ("status", "watermark"):
            raise BadOperation(f'"{op}" is no operation of a gate')
        signal: Signal = Edge(status_of(step)) if op == "status" else Watermark(value_of(step))
        return shown([signal] if gate.passes(signal) else [])

    return player


def _idle_timer(case: Mapping[str, Any]) -> Player:
    timeout_ms = case.get("timeout_ms")
    if not isinstance(timeout_ms, int) or timeout_ms <= 0:
        raise BadOperation('"timeout_ms" is a number above zero')
    timer = IdleTimer(timeout_ms)

    def player(step: Step) -> list[Output]:
        op = operation_of(step)
        if op == "activity":
            timer.activity()
            return []
        if op == "probe":
            return [{"idle": timer.probe(value_of(step, "at_ms"))}]
        raise BadOperation(f'"{op}" is no operation of an idle timer')

    return player


def _topology(case: Mapping[str, Any], profile: Profile) -> Player:
    nodes, edges, sink = case.get("nodes"), case.get("edges"), case.get("sink")
    if not isinstance(nodes, dict) or not isinstance(sink, str) or sink not in nodes:
        raise BadOperation('"nodes" is an object of counts, and "sink" one of them')
    if not isinstance(edges, list) or not all(_is_edge(edge, nodes) for edge in edges):
        raise BadOperation('"edges" is a list of [from, to, channel], from node to node')
    valves = {name: WatermarkValve(_channels(given), profile=profile) for name, given in nodes.items()}
    gates = {name: OutputGate() for name in valves}

    def leave(node: str, outputs: list[Output], at_sink: list[Output]) -> None:
        if node == sink:
            at_sink.extend(outputs)
        for source, target, channel in edges:
            if source == node:
                for output in outputs:
                    arrive(target, _as_step(output, channel), at_sink)

    def arrive(node: str, step: Step, at_sink: list[Output]) -> None:
        if operation_of(step) == "record":
            leave(node, [{"record": step.get("value", step.get("record"))}], at_sink)
            return
        signals = step_valve(valves[node], step)
        leave(node, shown([signal for signal in signals if gates[node].passes(signal)]), at_sink)

    def player(step: Step) -> list[Output]:
        node = step.get("node")
        if not isinstance(node, str) or node not in valves:
            raise BadOperation(f"there is no node {node!r}")
        at_sink: list[Output] = []
        arrive(node, step, at_sink)
        return at_sink

    return player


def _is_edge(edge: object, nodes: Mapping[str, Any]) -> bool:
    if not isinstance(edge, list) or len(edge) != 3:
        return False
    source, target, channel = edge
    ends = isinstance(source, str) and isinstance(target, str) and source in nodes and target in nodes
    return ends and isinstance(channel, (int, str)) and not isinstance(channel, bool)


def _as_step(output: Output, channel: ChannelId) -> Step:
    ((op, value),) = output.items()
    return {"op": op, "channel": channel, "value": value}
