"""The PostgreSQL destination: rows and positions in one transaction of the database.

A batch becomes lines of COPY text as it is written (`rows`), and waits in memory; commit() is one short transaction
that copies the lines (`appending`, `upserting`) and moves the positions on (`ledger`). Nothing is open on the server
between two commits, so a worker that stops there holds no lock and no snapshot.

psycopg is an optional extra: nothing here is imported before a stream names the kind.
"""
