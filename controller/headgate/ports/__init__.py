"""Ports: what the shells need of the world, as Protocols. One per caller's need; the adapters come in through bootstrap."""
