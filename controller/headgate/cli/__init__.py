"""The command line: kubectl's verbs for streams. `main` starts it, `commands` has one verb per file.

A verb's file is imported at every start, so it holds only its options; what does the work is imported when it runs.
"""
