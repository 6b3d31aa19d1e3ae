"""A small Kafka in memory, for tests and simulations."""
