"""A small Kafka in memory, whose transactions, groups, positions and compaction behave as the real one's do.

For tests and seeded simulations. What it does not model stands in docs/decisions.
"""

from headgate.adapters.memory.cluster import MemoryKafka, MemoryProcess
from headgate.adapters.memory.log import MemoryLog

__all__ = ["MemoryKafka", "MemoryLog", "MemoryProcess"]
