"""The command line: one file a verb, one line in the table below.

Results go to stdout (`--json`: one document), progress and logs to stderr. Exit 0 when all succeeded or had nothing to
do, 1 when a series failed, 2 for wrong usage, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ffe_core.cli import backfill, console, coverage, dlq, schedules, watermarks
from ffe_core.cli.common import print_json
from ffe_core.descriptors import raise_descriptor_limit
from ffe_core.errors import FFEError, InputError
from ffe_core.redaction import log_redacted, redact
from ffe_core.settings import Settings, unknown_settings

VERBS = (backfill, console, coverage, dlq, schedules, watermarks)
"""Modules with `register(subparsers)`, which sets `run` to a function of the parsed arguments that returns a status."""

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message} (see {self.prog} --help)\n")
        raise SystemExit(USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    arguments = _parser().parse_args(argv)
    log_redacted(logging.INFO if arguments.verbose else logging.ERROR)
    raise_descriptor_limit()
    try:
        _check_settings()
        return int(arguments.run(arguments))
    except (InputError, FFEError) as error:
        if getattr(arguments, "json", False):
            print_json({"error": redact(str(error))})
        return _say(str(error), USAGE if isinstance(error, InputError) else FAILED)
    except KeyboardInterrupt:
        return _say("interrupted; what is committed stays, the same command continues it", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def leave(status: int) -> NoReturn:
    """End the process with this status, whatever native threads are still winding down."""
    logging.shutdown()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _parser() -> argparse.ArgumentParser:
    # As it was called: the installed command, or the module.
    prog = "ffe" if os.path.basename(sys.argv[0]) == "ffe" else "python -m ffe_core"
    parser = _Parser(prog=prog, description="Years of trustworthy candles in a Delta lake of your own.")
    parser.add_argument("-v", "--verbose", action="store_true", help="log every step to stderr")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    for verb in VERBS:
        verb.register(verbs)
    return parser


def _check_settings() -> None:
    """InputError for a wrong value of any section before there is work; a slip in a name is said, and changes nothing.

    A warning, as an environment is shared: another program's variable, or a newer version's, must not stop a cron job.
    """
    Settings.load().check_sections()
    for sentence in unknown_settings():
        sys.stderr.write(f"warning: {sentence}\n")


def _say(message: str, status: int) -> int:
    sys.stderr.write(redact(message) + "\n")
    return status
