"""Headgate events."""
