"""Processes killed at random moments, at length, with figures: what the suite does briefly, done long enough to count."""
