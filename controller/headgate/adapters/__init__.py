"""What the ports are made of: the real Kafka, its in-memory twin, and clocks. Only bootstrap and tests name them."""
