"""Idleness as workers need it: who is quiet on evidence, and how far event time has come.

Workers judge emptiness (`emptiness`, `detector`, `grace`) and event time (`event_time`, `watermark`). What readers need
too, so that many channels become one, is in `headgate_events.idleness`. All of it is pure: time, evidence and markers
come in as arguments. docs/idleness.md tells what the words mean to a user.
"""
