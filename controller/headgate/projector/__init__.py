"""The projector: folds commands and reports into the history and the state, one transaction at a time.

`projector` is the shell; `folding` decides a batch, `restore` brings partitions of the state back, `ownership` follows
the group, `observer` turns deadlines and silence into reports, and `verify` refolds the history to check all of it.
"""
