"""`python -m ffe_core VERB`: the verbs of the pages, for cron and for scripts."""

from ffe_core.cli import leave, main

if __name__ == "__main__":
    leave(main())
