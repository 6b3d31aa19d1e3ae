"""The clients: send commands, follow the state, read the history. Import them from `headgate_events`."""
