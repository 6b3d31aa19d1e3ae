"""The test suite, a folder per level, and beside it the programs that measure (bench) and destroy (chaos)."""
