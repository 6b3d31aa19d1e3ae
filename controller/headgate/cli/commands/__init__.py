"""One file per verb: its options, its help, and the call into what does the work."""
