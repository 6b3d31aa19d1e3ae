"""Ports: what the shells need of the world, as Protocols, one per caller's need."""
