"""The soak of idleness: producers with gaps, faults, and an oracle that knows from the logs when it was empty."""
