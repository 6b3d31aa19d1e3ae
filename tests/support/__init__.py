"""What tests of several levels share: records of a broker, waiting with a deadline, processes that end with it."""
