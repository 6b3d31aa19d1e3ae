"""Idleness as readers need it: many channels become one (`valve`, `combiner`), and pass through one gate (`gate`).

All of it is pure: statuses, watermarks and tokens come in as arguments, and what leaves is returned.
"""
