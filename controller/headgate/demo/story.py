"""The story of the demo, step by step: what happens, what is shown, and what has to hold.

Two people steer one stream: Dana, a data engineer, whose stream it is, and Sam, who is on call. A check that fails is
shown and the story goes on; where it cannot go on (`StoryBroke`) it ends with what was waited for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from headgate.demo import judging
from headgate.demo.checker import Bounds
from headgate.demo.flights import AIRPORTS
from headgate.demo.scene import SESSION_TIMEOUT_S, STREAM, Scene
from headgate.demo.view import View
from headgate.demo.watch import now_ms
from headgate_events.client.channels import ActivityEdge
from headgate_events.schema.state import StreamState

DANA: Final = "dana"
SAM: Final = "sam"
TRANSFORM: Final = "headgate.demo.transforms:judge_departure"
LATE_AFTER_MIN: Final = 15
LATER_AFTER_MIN: Final = 30
PARALLELISM: Final = 2

START_TIMEOUT_S: Final = 40.0
DRAIN_TIMEOUT_S: Final = 30.0
QUIET_S: Final = 4.0
TAKEOVER_TIMEOUT_S: Final = 40.0
FLOW_TIMEOUT_S: Final = 60.0
REST_TIMEOUT_S: Final = 60.0
IDLE_TIMEOUT_S: Final = 40.0
IDLE_AFTER_S: Final = 2.0
"""How long a partition has to be empty, on evidence, before IDLE is said of it."""
FLOWING: Final = 1_000
"""So many more departures are waited for before the next thing happens, to let the traffic be seen."""


class Story:
    """Tells the story once, on the main thread."""

    def __init__(self, scene: Scene, view: View) -> None:
        self._scene = scene
        self._view = view
        self._bounds: list[Bounds] | None = None

    def tell(self) -> None:
        """Tell it from the creation of the stream to its last pause. Raises StoryBroke, or the environment's errors."""
        self._create()
        self._start()
        self._fall_silent()
        self._pause_in_traffic()
        self._prove_silence()
        self._resume()
        self._kill_a_worker()
        self._modify_live()
        self._finish()
        self._judge()

    def _create(self) -> None:
        view, scene = self._view, self._scene
        view.step("Dana creates the stream")
        outcome = scene.ask("create", DANA, {"config": self._config(LATE_AFTER_MIN)}, "how late is New York?")
        view.say(
            f"The stream {STREAM} reads {scene.source}, judges each departure (late means {LATE_AFTER_MIN} minutes "
            f"and more), and writes to {scene.destination}, exactly once, on {PARALLELISM} workers."
        )
        view.detail(f"accepted as version {outcome.version}; {outcome.status}, until somebody starts it")

    def _start(self) -> None:
        view, scene = self._view, self._scene
        view.step("Dana starts it")
        began = time.monotonic()
        scene.ask("start", DANA)
        state = scene.wait_for_state("RUNNING", lambda state: state.status == "RUNNING", START_TIMEOUT_S)
        view.say(f"A worker validated it; it is RUNNING after {time.monotonic() - began:.1f} s. What was looked at:")
        for check in state.checks:
            view.detail(f"{check.result:<8} {check.name}{': ' if check.message else ''}{check.message}")
        view.check(
            bool(state.checks) and all(check.result in {"passed", "warning"} for check in state.checks),
            f"validation: {len(state.checks)} items, none failed",
        )
        owners = self._wait_for_both_workers()
        view.say(f"Both workers carry it: {_shares(owners)}.")
        scene.wait_until(
            "traffic on every partition",
            lambda: min(scene.watch.arrived) > 0 and sum(scene.watch.arrived) >= FLOWING,
            FLOW_TIMEOUT_S,
        )
        view.check(True, f"departures flow from every airport ({_counted(scene.watch.arrived)} so far)")

    def _fall_silent(self) -> None:
        view, scene = self._view, self._scene
        scene.traffic.hurry()
        silence_at = scene.traffic.silence_at
        scene.wait_until(
            "every departure up to the blizzard having been carried",
            lambda: scene.traffic.silent and sum(scene.watch.arrived) == silence_at,
            FLOW_TIMEOUT_S,
        )
        view.step("A blizzard closes the airports, on 8 February")
        began = time.monotonic()
        scene.wait_until("IDLE of every airport", lambda: judging.all_idle(scene), IDLE_TIMEOUT_S)
        view.say(
            f"No departure for {IDLE_AFTER_S:g} s and more: after {time.monotonic() - began:.1f} s the workers say "
            "IDLE, each on evidence:"
        )
        judging.check_idle(view, scene)
        view.step("The first departure after it")
        flight = scene.traffic.first_after()
        said: list[ActivityEdge] = []

        def woken() -> bool:
            # A second look may come when it is IDLE again already: what counts is what was said in between.
            said.extend(scene.activity.refresh(judging.ACTIVITY_TIMEOUT_S))
            return judging.has_woken(said, flight.partition)

        scene.wait_until(f"ACTIVE of {flight.origin}", woken, IDLE_TIMEOUT_S)
        judging.check_woken(view, scene, flight, said)
        scene.traffic.go_on()

    def _pause_in_traffic(self) -> None:
        view, scene = self._view, self._scene
        view.step("Sam pauses it in the middle of traffic")
        began = time.monotonic()
        scene.ask("pause", SAM, reason="the weather desk has a question")
        state = scene.wait_for_state("PAUSED", lambda state: state.status == "PAUSED", DRAIN_TIMEOUT_S)
        took_s = time.monotonic() - began
        view.say(f"What was in flight was finished and committed; PAUSED after {took_s:.1f} s. The receipts:")
        scene.wait_until("every committed record being readable", self._all_readable, FLOW_TIMEOUT_S)
        judging.check_receipts(view, scene, state)

    def _prove_silence(self) -> None:
        view, scene = self._view, self._scene
        view.step("Nothing reaches the destination while it is paused")
        count = len(AIRPORTS)
        before, source_before = scene.cluster.ends(scene.destination, count), scene.cluster.ends(scene.source, count)
        began = time.monotonic()
        scene.watch_for(QUIET_S)
        scene.wait_until(
            "traffic on every partition of the source",
            lambda: _moved(source_before, scene.cluster.ends(scene.source, count)),
            FLOW_TIMEOUT_S,
        )
        took_s = time.monotonic() - began
        after, source_after = scene.cluster.ends(scene.destination, count), scene.cluster.ends(scene.source, count)
        grown = [late - early for early, late in zip(source_before, source_after, strict=True)]
        view.say(
            f"The broker was asked twice, {took_s:.0f} s apart, where the partitions end: in offsets, which count what "
            "is uncommitted and the marks of transactions, too."
        )
        view.check(min(grown) > 0, f"the source grew on every partition, by {_counted(grown)} departures")
        view.check(
            before == after, f"the destination did not grow: ends at {_listed(before)}, then at {_listed(after)}"
        )

    def _resume(self) -> None:
        view, scene = self._view, self._scene
        view.step("Sam resumes it")
        began, arrived = time.monotonic(), list(scene.watch.arrived)
        scene.ask("resume", SAM, reason="the question is answered")
        scene.wait_for_state("RUNNING", lambda state: state.status == "RUNNING", START_TIMEOUT_S)
        scene.wait_until("traffic on every partition", lambda: _moved(arrived, scene.watch.arrived), FLOW_TIMEOUT_S)
        view.check(True, f"departures flow again on every partition after {time.monotonic() - began:.1f} s")

    def _kill_a_worker(self) -> None:
        view, scene = self._view, self._scene
        view.step("A worker dies")
        owners = self._wait_for_both_workers()
        self._wait_for_flow()
        victim = max(set(owners.values()), key=lambda worker: (list(owners.values()).count(worker), worker))
        orphans = sorted(partition for partition, worker in owners.items() if worker == victim)
        part = scene.processes.parts[victim]
        scene.killed.add(victim)
        began, began_ms = time.monotonic(), now_ms()
        status = part.kill()
        # Whatever was produced after its death, the dead cannot have carried.
        heirs_work = [end + 1 for end in scene.cluster.ends(scene.source, len(AIRPORTS))]
        view.say(f"kill -9 {part.pid}: {victim} carried {_airports(orphans)}, and leaves without a word.")
        view.check(status == -9, f"{victim} is dead (exit status {status})")
        scene.wait_until(
            f"a takeover of {_airports(orphans)}",
            lambda: all(scene.watch.arrived[each] >= heirs_work[each] for each in orphans),
            TAKEOVER_TIMEOUT_S,
        )
        took_s = time.monotonic() - began
        view.check(True, f"{took_s:.1f} s later departures of {_airports(orphans)} from after its death arrive")
        view.detail(
            f"a group waits {SESSION_TIMEOUT_S:g} s from a member's last sign of life before it gives partitions away"
        )
        scene.wait_until(
            "a heartbeat that names the heir",
            lambda: set(scene.watch.owners(began_ms)) == set(range(len(AIRPORTS))),
            FLOW_TIMEOUT_S,
        )
        view.say(f"{_shares(scene.watch.owners(began_ms))} now; what the dead had written and not committed is gone.")

    def _modify_live(self) -> None:
        view, scene = self._view, self._scene
        view.step("Dana changes a setting while it runs")
        self._wait_for_flow()
        before = scene.wait_for_state("RUNNING", lambda state: state.status == "RUNNING", START_TIMEOUT_S)
        epoch, first = before.epoch, list(scene.watch.arrived)
        began = time.monotonic()
        scene.ask("modify", DANA, {"config": self._config(LATER_AFTER_MIN)}, f"late is {LATER_AFTER_MIN} minutes now")
        desired = before.revision.desired + 1
        scene.wait_for_state("the new revision", lambda state: state.revision.desired == desired, START_TIMEOUT_S)
        view.detail(f"revision desired {desired}, applied {before.revision.applied}")
        state = scene.wait_for_state(
            "every task running the new revision", lambda state: state.revision.applied == desired, START_TIMEOUT_S
        )
        took_s = time.monotonic() - began
        view.detail(f"revision desired {desired}, applied {desired}, after {took_s:.1f} s")
        last = scene.cluster.ends(scene.source, len(AIRPORTS))
        self._bounds = [Bounds(low, high) for low, high in zip(first, last, strict=True)]
        view.check(
            state.epoch == epoch and state.status == "RUNNING",
            f"the new threshold took effect without a restart (still epoch {epoch}, RUNNING)",
        )
        scene.wait_until(
            "results by the new setting",
            lambda: all(threshold == LATER_AFTER_MIN for threshold in scene.watch.threshold),
            FLOW_TIMEOUT_S,
        )
        view.check(True, f"every airport's departures are judged by {LATER_AFTER_MIN} minutes now")

    def _finish(self) -> None:
        view, scene = self._view, self._scene
        view.step("The rest of the month")
        scene.traffic.let_go()
        total = len(scene.flights)
        scene.wait_until("the whole month being in the source", lambda: scene.traffic.finished, REST_TIMEOUT_S)
        scene.wait_until(
            f"all {total:,} departures in the destination", lambda: sum(scene.watch.arrived) >= total, REST_TIMEOUT_S
        )
        view.say(f"All {total:,} departures have been carried. Sam pauses the stream, so that nothing can follow.")
        scene.ask("pause", SAM, reason="February is over")
        state = scene.wait_for_state("PAUSED", lambda state: state.status == "PAUSED", DRAIN_TIMEOUT_S)
        ends = [receipt.end for receipt in judging.receipts_of(state, scene.source).values()]
        view.check(sum(ends) == total, f"the receipts end where the source ends: {_listed(ends)}, {sum(ends):,} in all")

    def _judge(self) -> None:
        view, scene = self._view, self._scene
        view.step("A reader of its own counts what is there")
        view.say("It knows nothing of the workers: it reads committed records and compares them with the data set.")
        judging.check_month(view, scene, (LATE_AFTER_MIN, LATER_AFTER_MIN), self._bounds)
        view.step("Who did what, when (UTC) and why")
        judging.show_history(view, scene)
        view.step("headgate verify")
        judging.check_verify(view, scene)

    def _config(self, late_after_min: int) -> dict[str, Any]:
        scene = self._scene
        return {
            "source": {"kind": "kafka", "topic": scene.source},
            "transform": {"function": TRANSFORM, "settings": {"late_after_min": late_after_min}},
            "destination": {"kind": "kafka", "topic": scene.destination, "partition": "source"},
            "delivery": "exactly_once",
            "parallelism": PARALLELISM,
            "idleness": {"idle_after_s": IDLE_AFTER_S, "event_time": {"source": "timestamp"}},
            "labels": {"team": "flights"},
        }

    def _wait_for_both_workers(self) -> dict[int, str]:
        scene, since_ms = self._scene, now_ms()

        def shared() -> bool:
            owners = scene.watch.owners(since_ms)
            return set(owners) == set(range(len(AIRPORTS))) and len(set(owners.values())) == PARALLELISM

        scene.wait_until("both workers having partitions", shared, START_TIMEOUT_S)
        return scene.watch.owners(since_ms)

    def _wait_for_flow(self) -> None:
        scene = self._scene
        arrived = list(scene.watch.arrived)
        scene.wait_until(
            "traffic on every partition",
            lambda: _moved(arrived, scene.watch.arrived) and sum(scene.watch.arrived) - sum(arrived) >= FLOWING,
            FLOW_TIMEOUT_S,
        )

    def _all_readable(self) -> bool:
        """Whether no transaction is open on the destination, so that nothing is written and not yet to be seen."""
        scene, count = self._scene, len(AIRPORTS)
        decided = scene.cluster.ends(scene.destination, count, committed=True)
        return decided == scene.cluster.ends(scene.destination, count) and self._receipts_arrived()

    def _receipts_arrived(self) -> bool:
        state: StreamState | None = self._scene.state
        assert state is not None
        receipts = judging.receipts_of(state, self._scene.source)
        return all(self._scene.watch.arrived[partition] >= each.end for partition, each in receipts.items())


def _moved(before: Sequence[int], now: Sequence[int]) -> bool:
    return all(late > early for early, late in zip(before, now, strict=True))


def _counted(counts: Sequence[int]) -> str:
    return " + ".join(f"{count:,}" for count in counts)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)


def _airports(partitions: Sequence[int]) -> str:
    names = [AIRPORTS[partition] for partition in partitions]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _shares(owners: dict[int, str]) -> str:
    workers = sorted(set(owners.values()))
    return "; ".join(
        f"{worker} has {_airports(sorted(each for each, owner in owners.items() if owner == worker))}"
        for worker in workers
    )
