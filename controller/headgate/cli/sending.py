"""Send commands to one or many streams, await every answer, wait for the goals, and print a line for each.

All are sent before the first is awaited, so many names take as long as the slowest. Each is tried whatever becomes of
the others, and the worst exit code counts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from headgate.cli import connection as connections
from headgate.cli.actor import find_actor
from headgate.cli.connection import Connection, Order, shown
from headgate.cli.exits import OK, REFUSED, RUNTIME, exit_code_of
from headgate.cli.goals import Goal, Verdict, goal_of, judge
from headgate.cli.options import Sending
from headgate.cli.output import Format, note
from headgate.cli.results import Result, report
from headgate.cli.target import Target
from headgate.cli.wording import duration_s, future_ms, seconds
from headgate_events.errors import HeadgateError, InvalidRequest, OutcomeTimeout, SendFailed
from headgate_events.ids import MAX_ID_LENGTH, new_command_id
from headgate_events.names import check_stream_name

if TYPE_CHECKING:
    from headgate_events.client.handle import CommandHandle
    from headgate_events.client.request import CommandOptions

OUTCOME_TIMEOUT_S: Final = 30.0
GOAL_TIMEOUT_S: Final = 300.0
MAX_REASON: Final = 1_000
STATES_S: Final = 5.0
"""How long reading the states may take at least, so that a short --timeout ends in how the stream stands."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to send, read once from the options: everything that can be wrong in them was refused by then."""

    wait: bool
    timeout_s: float
    options: CommandOptions

    def order(self, kind: str, stream: str, **fields: Any) -> Order:
        """Make one stream's command. The id is fixed here, so that it can be told even when sending fails."""
        check_stream_name(stream)
        command_id = self.options.get("command_id") or new_command_id()
        return Order(kind, stream, {**self.options, "command_id": command_id}, fields)


def plan(sending: Sending, count: int, idle_for_s: float | None = None) -> Plan:
    """Read the options for `count` streams. Raises InvalidRequest, which names the option that is wrong."""
    if sending.command_id is not None:
        if count != 1:
            raise InvalidRequest("--command-id takes exactly one stream.", hint="Send one command for each id.")
        if not 0 < len(sending.command_id) <= MAX_ID_LENGTH or not sending.command_id.isprintable():
            raise InvalidRequest("--command-id is not valid.", hint=f"Use 1 to {MAX_ID_LENGTH} printable characters.")
    if sending.expected_version is not None and count != 1:
        raise InvalidRequest("--expected-version takes exactly one stream.", hint="Send one command at a time.")
    if sending.reason is not None and len(sending.reason) > MAX_REASON:
        raise InvalidRequest(f"--reason is longer than {MAX_REASON:,} characters.", hint="Shorten it.")
    if sending.wait and (sending.dry_run or sending.not_before or sending.when_idle or idle_for_s is not None):
        later = "--dry-run, --not-before or --when-idle" if idle_for_s is None else "--when-drained-and-idle-for"
        raise InvalidRequest(
            f"--wait does not go with {later}.",
            hint="A dry run changes nothing; `headgate watch` follows what is scheduled.",
        )
    timeout_s = GOAL_TIMEOUT_S if sending.wait else OUTCOME_TIMEOUT_S
    if sending.timeout is not None:
        timeout_s = duration_s(sending.timeout, "--timeout")
    moment = None
    if sending.not_before is not None:
        due_ms = future_ms(sending.not_before, "--not-before", time.time_ns() // 1_000_000)
        moment = datetime.fromtimestamp(due_ms / 1_000, UTC)
    options: CommandOptions = {
        "actor": find_actor(sending.actor),
        "reason": sending.reason,
        "dry_run": sending.dry_run or None,
        "when_idle": sending.when_idle or idle_for_s is not None or None,
        "idle_for_s": idle_for_s,
        "not_before": moment,
        "expected_version": sending.expected_version,
        "command_id": sending.command_id,
    }
    return Plan(sending.wait, timeout_s, options)


def send_all(target: Target, orders: Sequence[Order], planned: Plan, form: Format) -> int:
    """Send, await, wait where that was asked for, and print. Return the worst exit code."""
    deadline = time.monotonic() + planned.timeout_s
    with connections.open_connection(target) as connection:
        results = exchange(connection, orders, deadline)
        if planned.wait:
            results = reach_goals(connection, results, deadline, planned.timeout_s, tell=form is Format.TABLE)
    return report(results, form)


def exchange(connection: Connection, orders: Sequence[Order], deadline: float) -> list[Result]:
    """Send every order, then await every answer until the deadline (of the monotonic clock)."""
    sent: list[tuple[Order, CommandHandle | Result]] = []
    for order in orders:
        try:
            sent.append((order, connection.send(order)))
        except HeadgateError as error:
            sent.append((order, _failed(order, error)))
    try:
        return [each if isinstance(each, Result) else _answered(order, each, deadline) for order, each in sent]
    except KeyboardInterrupt:
        for order, each in sent:
            if not isinstance(each, Result) and not each.done:
                note(f"{order.stream}: {order.kind} was sent and may still take effect (command id {each.command_id})")
        raise


def _answered(order: Order, handle: CommandHandle, deadline: float) -> Result:
    """Await an outcome; of a command that is decided later, also that it is scheduled."""
    try:
        if order.waits:
            first = shown(handle.first_answer(_left_s(deadline)))
            if first["kind"] == "scheduled":
                return _scheduled(order, first)
        outcome = shown(handle.outcome(_left_s(deadline)))
    except HeadgateError as error:
        return _failed(order, error)
    return Result(
        stream=order.stream,
        command=order.kind,
        command_id=handle.command_id,
        outcome=outcome["outcome"],
        exit_code=REFUSED if outcome["outcome"] == "refused" else OK,
        message=outcome["message"],
        hint=outcome["hint"],
        code=outcome["code"],
        version=outcome["version"],
        incarnation=outcome["incarnation"],
        status=outcome["status"],
        dry_run=outcome["dry_run"],
    )


def _scheduled(order: Order, transition: Mapping[str, Any]) -> Result:
    pending = transition["pending"]
    return Result(
        stream=order.stream,
        command=order.kind,
        command_id=pending["command_id"],
        outcome="scheduled",
        exit_code=OK,
        version=transition["version"],
        incarnation=transition["incarnation"],
        status=transition["to_status"],
        due_ms=pending["not_before_ms"],
        when_idle=pending["when_idle"],
        idle_for_ms=pending.get("idle_for_ms"),
    )


def _left_s(deadline: float) -> float:
    """Return what is left of the time, in tenths of seconds, since errors repeat it to people."""
    return max(0.0, round(deadline - time.monotonic(), 1))


def _failed(order: Order, error: HeadgateError) -> Result:
    return Result(
        stream=order.stream,
        command=order.kind,
        command_id=order.options.get("command_id") or "",
        outcome="unknown" if isinstance(error, (OutcomeTimeout, SendFailed)) else "not_sent",
        exit_code=exit_code_of(error),
        message=error.message,
        hint=error.hint or "",
        code=error.code,
        dry_run=bool(order.options.get("dry_run")),
    )


def reach_goals(
    connection: Connection, results: Sequence[Result], deadline: float, timeout_s: float, *, tell: bool
) -> list[Result]:
    """Wait until every accepted command's stream is where the command leads, went elsewhere, or the time is over."""
    started = time.monotonic()
    goals: dict[int, Goal] = {}
    for index, result in enumerate(results):
        goal = goal_of(result.command, result.status) if result.outcome in {"accepted", "without_effect"} else None
        if goal is not None:
            goals[index] = goal
    done = list(results)
    if not goals:
        return done
    # A snapshot that is newer than every outcome: a stream that is not in it is gone.
    states: dict[str, Mapping[str, Any] | None] = dict(connection.states(max(STATES_S, _left_s(deadline))))
    said: dict[int, str] = {}
    changes = connection.follow(_left_s(deadline))
    while True:
        verdicts = {
            index: judge(goal, states.get(done[index].stream), done[index].incarnation, done[index].version)
            for index, goal in goals.items()
        }
        for index, verdict in verdicts.items():
            if verdict.kind == "waiting":
                if tell and said.get(index) != verdict.text:
                    note(f"{done[index].stream}: {verdict.text}")
                said[index] = verdict.text
                continue
            done[index] = _judged(done[index], goals.pop(index), verdict, states, time.monotonic() - started)
        if not goals:
            return done
        change = next(changes, None)
        if change is None:
            break
        states[change.stream] = None if change.state is None else shown(change.state)
    for index, goal in goals.items():
        late = Verdict("missed", f"not {goal.words} after {seconds(timeout_s)}: {said[index]}")
        done[index] = _judged(done[index], goal, late, states, time.monotonic() - started)
    return done


def _judged(
    result: Result, goal: Goal, verdict: Verdict, states: Mapping[str, Mapping[str, Any] | None], took_s: float
) -> Result:
    state = states.get(result.stream)
    reached = verdict.kind == "reached"
    return replace(
        result,
        exit_code=OK if reached else RUNTIME,
        status=state["status"] if state else "DELETED",
        version=state["version"] if state else result.version,
        goal={
            "wanted": goal.words,
            "reached": reached,
            "message": verdict.text,
            "details": list(verdict.details),
            "took_s": round(took_s, 3),
        },
        details=verdict.details,
    )
