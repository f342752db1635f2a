"""`python -m ffe_core VERB`, installed as `ffe VERB`: the verbs of the pages, for cron and for scripts."""

from typing import NoReturn

from ffe_core.cli import process


def run() -> NoReturn:
    """The command line as a program: run what `sys.argv` says and end the process with its status."""
    process.run()


if __name__ == "__main__":
    run()
