"""The worker on a real broker, with the real projector."""
