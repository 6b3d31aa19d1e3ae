"""Streams under faults drawn from a seed: nothing lost, nothing doubled, and where they should be at the end."""
