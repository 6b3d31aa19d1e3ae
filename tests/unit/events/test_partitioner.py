"""Keys land where Kafka's Java clients put them."""

from __future__ import annotations

import pytest

from headgate_events.partitioner import murmur2, partition_of


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_the_hash_is_that_of_kafkas_own_tests(text: str, signed: int) -> None:
    assert murmur2(text.encode()) == signed & 0xFFFFFFFF


def test_text_and_bytes_name_the_same_partition_within_bounds() -> None:
    found = {partition_of(f"stream-{number}", 8) for number in range(200)}
    assert found == set(range(8))
    assert partition_of("départ", 8) == partition_of("départ".encode(), 8)
