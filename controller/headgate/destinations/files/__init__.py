"""Files of JSON Lines and Parquet, in a local folder (exactly once) or in a store (at least once).

`journal.py` tells why a reader of finished local files never meets a partial, doubled or missing record, and how an
owner and its heir are told apart; the other files are the parts: names, what is durable, one staged file, the formats.
"""
