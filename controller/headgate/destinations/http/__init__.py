"""Records as HTTP requests, at least once.

`settings` says where to and in which shape, `bodies` makes requests of records, `answers` says what an answer means,
`sending` makes one request, bounded in time, and `destination` keeps the order of each key over several requests at a
time.
"""
