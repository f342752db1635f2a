"""`dlq`: look at dead letters, edit them, replay them, ask for them again, discard, restore and purge them.

Records count from 0. `ID` names a batch, `ID#3` one of its records. Where a verb takes several, filters choose instead
of, or among, the batches named; what they choose is a frozen list before anything starts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ffe_core.cli.dlq import arguments
from ffe_core.cli.parser import VERBS, add_json, later


def register(verbs: Any) -> None:
    """Add the verb and its own verbs to the parser."""
    parser = verbs.add_parser("dlq", help=VERBS["dlq"], description=__doc__.partition("\n")[0])
    own = parser.add_subparsers(dest="dlq_verb", required=True, metavar="VERB", parser_class=type(parser))
    listing = _add(own, "list", "look.listing", "batches that hold a matching record, newest first")
    listing.add_argument("--limit", type=arguments.count, metavar="N", help="at most so many batches")
    listing.add_argument("--offset", type=arguments.count, default=0, metavar="N", help="leave out the newest N")
    arguments.add_filters(listing)
    showing = _add(own, "show", "look.show", "one batch: each record as received, its reasons and what was done")
    showing.add_argument("id", metavar="ID")
    editing = _add(own, "edit", "edit.edit", "save a new revision of records; what was received stays", ["mend"])
    arguments.add_edits(editing)
    replaying = _several(own, "replay", "replay.replay", "store pending records that pass, each exactly once")
    replaying.add_argument(
        "--restate", action="store_true", help="on a collision append, instead of keeping the stored"
    )
    replaying.add_argument("--dry-run", action="store_true", help="say what would become of them, and stop")
    asking = _several(own, "refetch", "replay.refetch", "ask the provider again for just the bars of pending records")
    asking.add_argument("--dry-run", action="store_true", help="say how many it would be, and stop")
    discarding = _several(own, "discard", "marks.discard", "mark pending records as not wanted; restore takes it back")
    discarding.add_argument("--reason", dest="why", required=True, metavar="TEXT", help="why")
    discarding.add_argument("--dry-run", action="store_true", help="say how many it would be, and stop")
    restoring = _several(own, "restore", "marks.restore", "make discarded records pending again")
    restoring.add_argument("--dry-run", action="store_true", help="say how many it would be, and stop")
    purging = _add(own, "purge", "marks.purge", "delete for good the batches in which nothing is pending")
    purging.add_argument("--days", type=arguments.count, required=True, metavar="N", help="not touched for so long")
    purging.add_argument("--reason", dest="why", required=True, metavar="TEXT", help="why, for the audit")
    purging.add_argument("--dry-run", action="store_true", help="say how many it would be, and stop")
    arguments.add_filters(purging, ("--code",))


def _add(own: Any, name: str, run: str, words: str, before: Sequence[str] = ()) -> argparse.ArgumentParser:
    """A verb; `before` are names it had, which still work."""
    about = f"{words[0].upper()}{words[1:]}."
    parser: argparse.ArgumentParser = own.add_parser(name, help=words, description=about, aliases=before)
    add_json(parser)
    module, _, function = run.partition(".")
    parser.set_defaults(run=later(f"dlq.{module}", function))
    return parser


def _several(own: Any, name: str, run: str, words: str) -> argparse.ArgumentParser:
    parser = _add(own, name, run, words)
    parser.add_argument("ids", nargs="*", metavar="ID", help="a batch, or one record of it as ID#N")
    # `--reason` of `discard` says why; there the filter has only its other name.
    arguments.add_filters(parser, ("--code",) if run == "marks.discard" else ("--reason", "--code"))
    return parser
