"""`actions`: splits and cash dividends of shares, by which prices are adjusted when they are read."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from ffe_core.adjustments.actions import DIVIDEND, SPLIT, Action, Actions, action, positive
from ffe_core.cli.common import actor, names, state
from ffe_core.cli.output import print_json, print_table, warn
from ffe_core.cli.parser import VERBS, add_json
from ffe_core.errors import InputError
from ffe_core.instruments.names import normalize_pair
from ffe_core.operations.adjustments import record, take_out
from ffe_core.settings import Settings
from ffe_core.storage.state.audit import Audit


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser("actions", help=VERBS["actions"], description=f"Corporate actions: {VERBS['actions']}.")
    acts = parser.add_subparsers(dest="act", required=True, metavar="list|add|remove|fetch", parser_class=type(parser))
    listed = acts.add_parser("list", help="what is on record", description="Splits and dividends on record.")
    listed.add_argument("--pairs", type=names, metavar="A,B", help="only of these")
    add_json(listed)
    listed.set_defaults(run=_list)
    added = _change(acts, "add", "put a split or a dividend on record", _add)
    added.add_argument("--yes", action="store_true", help="also a split beside nearly the same one some days apart")
    _change(acts, "remove", "take a split or a dividend out of the record", _remove)
    text = "ask Alpha Vantage for all splits and dividends of shares: two requests each"
    fetched = acts.add_parser("fetch", help=text, description=f"{text.capitalize()}. What is on record stays.")
    fetched.add_argument("--pairs", type=names, required=True, metavar="A,B", help="for example AAPL,MSFT")
    add_json(fetched)
    fetched.set_defaults(run=_fetch)


def _change(acts: Any, name: str, does: str, run: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = acts.add_parser(name, help=does, description=f"{does.capitalize()}.")
    parser.add_argument("pair", metavar="PAIR", help="the share as it is stored, for example AAPL")
    parser.add_argument("day", metavar="DAY", help="the ex-day, the first day at the new price, as 2014-06-09")
    values = parser.add_mutually_exclusive_group(required=True)
    for kind, metavar, says in (
        (SPLIT, "NEW:OLD", "new shares for old ones, as 7:1"),
        (DIVIDEND, "AMOUNT", "money for each share of the day before"),
    ):
        takes: dict[str, Any] = {"metavar": metavar} if name == "add" else {"action": "store_true"}
        values.add_argument(f"--{kind}", help=says, **takes)
    parser.add_argument("--reason", required=True, metavar="TEXT", help="who says so, or why, for the record")
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    actions = Actions(Settings.load().data_dir)
    found = [*actions.all(SPLIT), *actions.all(DIVIDEND)]
    if arguments.pairs:
        wanted = {normalize_pair(name) for name in arguments.pairs}
        found = [one for one in found if one.pair in wanted]
    found.sort(key=lambda one: (one.pair, one.day, one.kind))
    if arguments.json:
        print_json({"actions": [_document(one) for one in found]})
    elif found:
        print_table(
            ["pair", "day", "kind", "value", "reason"],
            [[one.pair, one.day_text, one.kind, one.value_text, one.reason] for one in found],
        )
    else:
        print("none on record; add one with: actions add AAPL 2014-06-09 --split 7:1 --reason TEXT")
    return 0


def _add(arguments: argparse.Namespace) -> int:
    kind = SPLIT if arguments.split is not None else DIVIDEND
    value = _ratio(arguments.split) if kind == SPLIT else _amount(arguments.dividend)
    one = action(kind, normalize_pair(arguments.pair), arguments.day, value, arguments.reason)
    settings = Settings.load()
    actions = Actions(settings.data_dir)
    added = record(actions, Audit(state(settings)), one, actor(), is_meant=arguments.yes)
    if arguments.json:
        print_json({**_document(one), "added": added, "file": str(actions.path(kind))})
    else:
        told = "is in" if added else "was already in"
        print(f"the {kind} of {one.pair} on {one.day_text}, {one.value_text}, {told} {actions.path(kind)}")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    kind = SPLIT if arguments.split else DIVIDEND
    one = action(kind, normalize_pair(arguments.pair), arguments.day, Fraction(1), arguments.reason)
    settings = Settings.load()
    actions = Actions(settings.data_dir)
    take_out(actions, Audit(state(settings)), kind, one.pair, one.day, actor(), arguments.reason)
    if arguments.json:
        print_json({"removed": kind, "pair": one.pair, "day": one.day_text})
    else:
        print(f"the {kind} of {one.pair} on {one.day_text} is out of {actions.path(kind)}")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    """Exit status: 1 if something that was sent is not on record as it was sent."""
    from ffe_core.operations.action_import import import_actions

    settings = Settings.load()
    audit = Audit(state(settings))
    pairs = dict.fromkeys(normalize_pair(name, "alpha_vantage") for name in arguments.pairs)
    done = []
    for pair in pairs:
        done.append(import_actions(settings, audit, pair, actor()))
        for problem in done[-1].problems:
            warn(problem)
        if not arguments.json:
            print(f"{pair}: {done[-1].added} of {done[-1].received} put on record")
    if arguments.json:
        print_json({"pairs": [{**asdict(one), "problems": list(one.problems)} for one in done]})
    return int(any(one.problems for one in done))


def _ratio(text: str) -> Fraction:
    new, colon, old = text.partition(":")
    try:
        return positive(new) / positive(old if colon else "")
    except ValueError:
        raise InputError(f"{text!r} is no split; write new shares for old ones, as 7:1", field="split") from None


def _amount(text: str) -> Fraction:
    try:
        return positive(text)
    except ValueError:
        raise InputError(f"{text!r} is no amount of money; write it as 3.29", field="dividend") from None


def _document(one: Action) -> dict[str, Any]:
    return {
        "pair": one.pair, "day": one.day_text, "kind": one.kind, "value": one.value_text, "reason": one.reason,
    }  # fmt: skip
