"""The suite's own judge of a run: what was sent, what arrived, what the history says, and what does not fit together.

`model` is a run, whatever its destination was; an extractor per destination makes one (`kafka`, `folder`, `table`),
with clients of its own, and `judge` is pure: a run in, findings out. Nothing here uses the product's adapters.
"""
