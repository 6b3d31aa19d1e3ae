"""How much a step of the valve costs, and that it grows like log n: ten channels, ten thousand, and a naive twin.

    python -m tests.bench valve

No broker is needed. The steps are made before the clock starts. Of the random ones nine in ten are watermarks that rise
at random channels and one is a status, so channels leave, return unaligned and catch up.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from headgate_events.idleness.signals import Status
from headgate_events.idleness.valve import WatermarkValve

SEED = 40475
STEPS = 1_000_000
CHANNELS = 10_000
NAIVE_STEPS = 300
SLICES = 20

Step = tuple[int, int | None, Status]


def steps_over(channels: int, steps: int) -> list[Step]:
    """Return random steps: (channel, watermark or None, status where the watermark is None)."""
    chance = random.Random(SEED)
    made: list[Step] = []
    for number in range(steps):
        channel = chance.randrange(channels)
        if chance.random() < 0.9:
            made.append((channel, number + chance.randrange(channels), Status.ACTIVE))
        else:
            made.append((channel, None, Status.IDLE if chance.random() < 0.5 else Status.ACTIVE))
    return made


def flapping(channels: int, steps: int) -> list[Step]:
    """Return the worst steps for a valve that walks: all are idle but one, which leaves and returns again and again."""
    made: list[Step] = [(channel, channel, Status.ACTIVE) for channel in range(channels)]
    made += [(channel, None, Status.IDLE) for channel in range(channels)]
    for number in range(max(0, steps - 2 * channels)):
        made.append((number // 2 % channels, None, Status.IDLE if number % 2 else Status.ACTIVE))
    return made


def per_step_us(channels: int, made: list[Step]) -> tuple[float, float]:
    """Return the median and the largest mean cost of a step over slices of the run, in microseconds."""
    valve = WatermarkValve(range(channels))
    size = max(1, len(made) // SLICES)
    costs = []
    for first in range(0, len(made), size):
        part = made[first : first + size]
        began = time.perf_counter()
        for channel, value, status in part:
            if value is None:
                valve.input_status(channel, status)
            else:
                valve.input_watermark(channel, value)
        costs.append((time.perf_counter() - began) / len(part) * 1e6)
    return statistics.median(costs), max(costs)


def naive_per_step_us(channels: int, made: list[Step]) -> float:
    """Return the mean cost of a step of the valve that walks over everything, in microseconds."""
    from tests.property.naive_valve import NaiveValve

    valve = NaiveValve(list(range(channels)))
    began = time.perf_counter()
    for channel, value, status in made:
        if value is None:
            valve.input_status(channel, status.value)
        else:
            valve.input_watermark(channel, value)
    return (time.perf_counter() - began) / len(made) * 1e6


def main(say: Callable[[str], None] = print, steps: int = STEPS) -> int:
    """Measure and say it; return 0. `steps` below a million is for trying it out."""
    say(f"| {steps:,} steps | channels | µs a step: median of {SLICES} slices | slowest slice |\n|---|---|---|---|")
    for what, make in (("random", steps_over), ("all idle but one, flapping", flapping)):
        medians = {}
        for channels in (10, 100, 1_000, CHANNELS):
            medians[channels], slowest = per_step_us(channels, make(channels, steps))
            say(f"| {what} | {channels:,} | {medians[channels]:.2f} | {slowest:.2f} |")
        say(
            f"\n{what}: {CHANNELS:,} channels cost {medians[CHANNELS] / medians[10]:.1f} times a step of 10 channels.\n"
        )
    walking = naive_per_step_us(CHANNELS, steps_over(CHANNELS, min(steps, NAIVE_STEPS)))
    say(f"A valve that walks over its {CHANNELS:,} channels takes {walking:,.0f} µs a step (random).")
    return 0
