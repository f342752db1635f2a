"""Arguments of the `dlq` verbs: filters, edits and numbers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

FILTERS = {
    "reason": "a reason code, for example high_below_low",
    "pair": "for example BTCUSD",
    "timeframe": "for example 1h",
    "provider": "for example coinbase",
    "run": "the number of the run that kept them",
    "day": "the UTC day on which they were kept, for example 2024-01-31",
    "status": "pending, new, failed again, replayed, superseded by stored, discarded, partly replayed or quarantined",
    "text": "what a record contains",
}
"""Name of each filter -> its line of help."""


def add_filters(parser: argparse.ArgumentParser, reason: Sequence[str] = ("--reason", "--code")) -> None:
    """Add an option a filter; `reason` are the names of the one by reason code."""
    for name, words in FILTERS.items():
        flags = reason if name == "reason" else (f"--{name}",)
        parser.add_argument(*flags, dest=f"wanted_{name}", default="", metavar="TEXT", help=words)


def count(text: str) -> int:
    """A number of a command line, from 0 to 999,999,999."""
    if not is_count(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 999999999")
    return int(text)


def is_count(text: str) -> bool:
    """Whether a text is a number that anything here can be counted by."""
    return text.isascii() and text.isdigit() and len(text) <= 9


def add_edits(parser: argparse.ArgumentParser) -> None:
    """What is edited, and how."""
    parser.add_argument("id", metavar="ID")
    parser.add_argument("--record", type=count, action="append", metavar="N", help="which; again for several")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="a JSON value, or plain text")
    parser.add_argument("--scale", action="append", default=[], metavar="FIELD=FACTOR", help="multiply a field")
    parser.add_argument("--swap-high-low", action="store_true", help="exchange high and low")
    parser.add_argument("--drop-volume", action="store_true", help="store it without a volume")
    parser.add_argument("--value", metavar="JSON", help="the whole record")
    parser.add_argument("--revision", type=count, metavar="N", help="refuse if this is not the latest revision")
    parser.add_argument("--why", default="", metavar="TEXT", help="kept with the revision")
    parser.add_argument("--dry-run", action="store_true", help="say what a replay would make of it, and save nothing")
