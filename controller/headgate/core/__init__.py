"""The pure core: what a stream is, what may happen to it, and what follows. No I/O, no clock, no randomness."""
