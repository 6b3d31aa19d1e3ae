"""The worker: the shell of the data plane.

A supervisor follows the state of all streams and the heartbeats of all workers, and starts, steers and ends this
worker's tasks. A task is one worker's share of one stream: it reads a batch, transforms it, writes it, makes it
durable, commits.
"""
