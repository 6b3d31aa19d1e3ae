"""From an empty machine to the verdict: take a broker, start the parts, tell the story, end everything.

The exit status is 0 only when every check held, 1 when one did not; problems of the environment are raised as errors,
which the command line turns into 3. Everything has a bound: each wait its own, and the whole story one more.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

from headgate.broker import ChosenBroker, choose_broker
from headgate.broker.progress import progress_for_person
from headgate.demo.cluster import Cluster
from headgate.demo.flights import AIRPORTS, load_flights
from headgate.demo.processes import Processes
from headgate.demo.scene import SESSION_TIMEOUT_S, STREAM, Scene, StoryBroke
from headgate.demo.story import Story
from headgate.demo.traffic import Traffic
from headgate.demo.view import View
from headgate.demo.watch import Watch
from headgate.settings import load_settings
from headgate_events.client.activity import ActivityReader
from headgate_events.client.commands import CommandClient
from headgate_events.client.state import StateReader
from headgate_events.errors import EnvironmentProblem, HeadgateError
from headgate_events.topics import Topics

DEFAULT_PACE: Final = 400
WHOLE_STORY_S: Final = 300
"""Bound of everything after the broker is there. It takes under a minute; a loaded machine may need more."""
CLOSE_S: Final = 60
INIT_TIMEOUT_S: Final = 60.0
SNAPSHOT_TIMEOUT_S: Final = 30.0
WORKERS: Final = ("worker-1", "worker-2")
Result = TypeVar("Result")
KEPT_OUT: Final = ("HEADGATE_CONTEXT", "HEADGATE_CONFIG", "HEADGATE_LOG_LEVEL", "HEADGATE_LOG_FORMAT")
"""Settings of whoever runs the demo that would lead its parts elsewhere."""


def run_demo(*, pace: float = DEFAULT_PACE, keep: bool = False, view: View | None = None) -> int:
    """Run the demo and return its exit status. `pace` is departures a second; `keep` stays until Ctrl-C at the end.

    Raises the errors of the environment (`EnvironmentProblem`), and KeyboardInterrupt when it is interrupted, also by
    SIGTERM; by then everything that it started has ended.
    """
    view = view or View()
    view.title("Headgate: a month of departures from New York, through a real Kafka")
    folder = Path(tempfile.mkdtemp(prefix="headgate-demo-"))
    with ExitStack() as cleanup:
        cleanup.enter_context(_interrupted_by_signals())
        try:
            _run(view, folder, pace, keep, cleanup)
        except KeyboardInterrupt:
            view.say("Interrupted: ending what was started.")
            cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
            raise
        except EnvironmentProblem:
            if any(folder.iterdir()):
                view.say(f"What the parts wrote is in {folder}.")
            else:
                folder.rmdir()
            raise
    return _conclude(view, folder)


def _run(view: View, folder: Path, pace: float, keep: bool, cleanup: ExitStack) -> None:
    """Tell the story; whatever was started is `cleanup`'s to end."""
    view.step("A broker")
    broker = cleanup.enter_context(choose_broker(progress=progress_for_person()))
    view.say(broker.said)
    scene = _bounded(view, WHOLE_STORY_S, lambda: _set_up(view, broker, folder, pace, cleanup))
    if scene is None:
        return
    _bounded(view, WHOLE_STORY_S, lambda: _tell(view, scene))
    if keep:
        _stay(view, scene)
    _bounded(view, CLOSE_S, lambda: _close(view, scene))


def _tell(view: View, scene: Scene) -> None:
    with view.picture(scene.look):
        Story(scene, view).tell()


def _set_up(view: View, broker: ChosenBroker, folder: Path, pace: float, cleanup: ExitStack) -> Scene:
    """Make the topics, start the parts and the traffic, and open the clients."""
    given = broker.kind == "given"
    # A cluster that is somebody's gets names that collide with nothing, and is left as it was found.
    namespace = f"demo-{uuid.uuid4().hex[:8]}" if given else "demo"
    prefix = f"{namespace}." if given else ""
    source, destination = f"{prefix}flights", f"{prefix}judged-departures"
    kafka = dict(load_settings(bootstrap_servers=broker.bootstrap_servers, namespace=namespace).kafka) if given else {}
    cluster = Cluster(broker.bootstrap_servers, kafka)
    if given:
        cleanup.callback(_leave_as_found, view, cluster, namespace)
    processes = cleanup.enter_context(Processes(_environment(broker, namespace, given), folder))

    view.step("Topics")
    status, output = processes.run("init", timeout_s=INIT_TIMEOUT_S)
    if status != 0:
        raise StoryBroke(f"`headgate init` ended with {status}:\n{output}")
    view.say(f"`headgate init` made and checked the topics of the namespace {namespace}:")
    view.detail(", ".join(spec.name for spec in Topics(namespace).specs))
    cluster.create_topic(source, len(AIRPORTS))
    cluster.create_topic(destination, len(AIRPORTS))

    flights = load_flights()
    traffic = cleanup.enter_context(Traffic(cluster, source, flights, pace))
    view.say(
        f"The {len(flights):,} departures of February 2013 begin to flow into {source}, one partition for each airport "
        f"({', '.join(AIRPORTS)}), {pace:,.0f} a second instead of about one every two minutes."
    )
    view.step("Three processes")
    projector = processes.start("projector", "projector", HEADGATE_PROJECTOR_NAME="projector")
    session = {"HEADGATE_WORKER_SESSION_TIMEOUT_MS": str(round(SESSION_TIMEOUT_S * 1_000))}
    started = [processes.start(name, "worker", HEADGATE_WORKER_NAME=name, **session) for name in WORKERS]
    for part in (projector, *started):
        view.detail(f"{part.name:<9}  `{part.command_line}`, process {part.pid}")
    heartbeats = Topics(namespace).heartbeats
    watch = cleanup.enter_context(Watch(cluster, destination, source, heartbeats, STREAM))
    servers = broker.bootstrap_servers
    states = cleanup.enter_context(StateReader(servers, namespace, kafka=kafka))
    states.refresh(SNAPSHOT_TIMEOUT_S)
    return Scene(
        cluster=cluster,
        namespace=namespace,
        source=source,
        destination=destination,
        flights=flights,
        processes=processes,
        commands=cleanup.enter_context(CommandClient(servers, namespace, source="headgate/demo", kafka=kafka)),
        states=states,
        activity=cleanup.enter_context(ActivityReader(servers, namespace, kafka=kafka)),
        traffic=traffic,
        watch=watch,
    )


def _leave_as_found(view: View, cluster: Cluster, namespace: str) -> None:
    """Remove what the demo made in a cluster that is somebody's."""
    try:
        cluster.delete_all_of(namespace)
    except EnvironmentProblem as problem:
        view.say(f"Topics and groups whose names begin with {namespace}. may be left: {problem}")


def _environment(broker: ChosenBroker, namespace: str, given: bool) -> dict[str, str]:
    kept_out = KEPT_OUT if given else (*KEPT_OUT, "HEADGATE_KAFKA")
    environ = {name: value for name, value in os.environ.items() if name not in kept_out}
    return environ | {
        "HEADGATE_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "HEADGATE_NAMESPACE": namespace,
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
    }


def _close(view: View, scene: Scene) -> None:
    """Ask the parts to end, as a service manager would, and see that they do."""
    left = [part for part in scene.processes.parts.values() if part.name not in scene.killed]
    view.step("The end")
    for part in left:
        scene.killed.add(part.name)
        part.ask_to_stop()
    deadline = time.monotonic() + 30
    ends = [(part.name, part.wait(max(0.0, deadline - time.monotonic()))) for part in left]
    view.check(
        all(status == 0 for _, status in ends),
        "told to end, the parts ended in good order: " + ", ".join(f"{name} {status}" for name, status in ends),
    )


def _conclude(view: View, folder: Path) -> int:
    """Sum up, and return the exit status."""
    view.say("")
    if failed := view.failed:
        view.title(f"{len(failed)} of {len(view.checks)} checks did not hold, after {view.elapsed_s:.0f} s:")
        for what in failed:
            view.say(f"- {what}")
        view.say(f"What the parts wrote is in {folder}.")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    view.title(f"All {len(view.checks)} checks held, in {view.elapsed_s:.0f} s.")
    view.say("To look around yourself, keep everything running and use another terminal:")
    view.raw("headgate demo --keep")
    view.say("docs/demo.md tells what happened here and why it holds, the README how to run a stream of your own.")
    return 0


def _stay(view: View, scene: Scene) -> None:
    """Leave everything running until Ctrl-C, and say what can be tried meanwhile."""
    view.step("Look around")
    view.say("Everything stays until Ctrl-C. In another terminal:")
    view.raw(
        f"export HEADGATE_BOOTSTRAP_SERVERS={scene.cluster.bootstrap_servers} HEADGATE_NAMESPACE={scene.namespace}"
    )
    for command in (
        "headgate get -o wide",
        f"headgate describe {STREAM}",
        f"headgate history {STREAM}",
        f"headgate activity {STREAM} --edges",
        f"headgate resume {STREAM} --wait --reason 'one more look'",
        f"headgate pause {STREAM} --dry-run",
        "headgate watch",
        "headgate verify",
    ):
        view.raw(command)
    try:
        while True:
            time.sleep(1.0)
    except KeyboardInterrupt:
        view.say("Ending.")


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, so that everything is ended on the way out."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bounded(view: View, seconds: int, act: Callable[[], Result]) -> Result | None:
    """Return what `act` returns, or None with a failed check where the story could not go on or took too long.

    The environment's errors are the caller's.
    """

    def late(_number: int, _frame: FrameType | None) -> None:
        # Raised in the main thread, whatever it waits for just then.
        raise StoryBroke(f"The story was not through after {seconds} s.")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        return act()
    except EnvironmentProblem:
        raise
    except HeadgateError as problem:
        view.check(False, str(problem))
        return None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
