"""Idleness: who is quiet on evidence, how far event time has come, and how many channels become one.

Producers judge emptiness (`emptiness`, `hysteresis`) and how far event time has come (`event_time`, `watermark`);
consumers combine what many producers say (`valve`, `combiner`) and pass it on through one gate (`gate`). All of it is
pure: time, evidence and markers come in as arguments. docs/idleness.md tells what the words mean to a user.
"""
