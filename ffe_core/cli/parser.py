"""The parser of the command line: every verb is listed, only the one that is meant is imported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from ffe_core.errors import InputError

VERBS = {
    "actions": "splits and dividends of shares, to adjust prices by",
    "backfill": "bring candles into the lake",
    "check": "whether what is stored agrees: bars, sources, units, splits",
    "console": "start the web console",
    "coverage": "what should be there, what is, and what is missing",
    "dlq": "dead letters: look, edit, replay, discard",
    "export": "write candles in the files of another tool",
    "import": "bring candles from files into the lake",
    "instruments": "what providers trade, and under which name it is stored",
    "migrate": "copy a data directory to another place",
    "schedules": "what runs by itself, and when",
    "sql": "ask the lake in SQL, read only",
    "storage": "how the lake is stored, and what upkeep would win",
    "watermarks": "how far every series has been read",
    "worker": "work for the consoles of a cluster, or be its head",
}
"""Name and line of help of each verb. Its module in this folder has `register(subparsers)`, which sets `run` to a
function of the parsed arguments that returns an exit status."""
_MODULES = {"import": "import_files"}
"""The module of a verb whose name no module can have."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """InputError with the message of argparse and where help is found."""
        raise InputError(f"{self.prog}: {message} (see {self.prog} --help)")


def parser(words: Sequence[str]) -> Parser:
    """The parser for these words."""
    text = "Years of trustworthy candles in a Delta lake of your own."
    made = Parser(prog=_program(), description=text)
    made.add_argument("-v", "--verbose", action="store_true", help="log every step to stderr")
    made.set_defaults(json=False)
    verbs = made.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)
    meant = next((word for word in words if not word.startswith("-")), None)
    for name, text in VERBS.items():
        if name == meant:
            import_module(f"ffe_core.cli.{_MODULES.get(name, name)}").register(verbs)
        else:
            verbs.add_parser(name, help=text)
    return made


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`; given before a verb of a verb it holds for that one too."""
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")


def later(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """A function of the parsed arguments in a module of this folder, which is imported when it is run."""

    def run(arguments: argparse.Namespace) -> int:
        return int(getattr(import_module(f"ffe_core.cli.{module}"), function)(arguments))

    return run


def _program() -> str:
    """As it was called: the installed command, or the module."""
    return "ffe" if os.path.basename(sys.argv[0]) == "ffe" else "python -m ffe_core"
