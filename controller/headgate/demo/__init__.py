"""`headgate demo`: the main job on real data, told as a story that checks itself.

`run_demo` is the entry. It takes a broker, runs the product's own commands as processes, has two people steer a stream
while a month of real departures flows through it, and judges the result with a reader of its own.
"""

from __future__ import annotations
