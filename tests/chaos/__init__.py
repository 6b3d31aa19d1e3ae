"""Processes killed at random moments, at length, with figures: what the suite does briefly, long enough to count."""
