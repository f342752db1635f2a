"""`check rules`, `try`, `save` and `forget`: rules of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ffe_core import times
from ffe_core.cli import interruption
from ffe_core.cli.common import actor, run_service
from ffe_core.cli.output import print_json, print_table
from ffe_core.errors import InputError
from ffe_core.operations.checks.service import Checks
from ffe_core.rules.model import Rule, Rules, rule_of
from ffe_core.settings import Settings


def listed(arguments: argparse.Namespace) -> int:
    """Print the rules."""
    rules = Rules(Settings.load().data_dir).all()
    if arguments.json:
        print_json({"rules": [rule.model_dump() for rule in rules]})
    elif rules:
        rows = [[one.name, "on" if one.on else "off", one.severity, ", ".join(one.series), one.asks] for one in rules]
        print_table(["name", "", "severity", "for", "holds"], rows)
    else:
        print("no rule yet: try one with python -m ffe_core check try NAME --holds 'high <= 2 * low'")
    return 0


def try_one(arguments: argparse.Namespace) -> int:
    """Say what a rule would find: the one given, or the one of that name in the file."""
    with run_service(Settings.load()) as service:
        checks = Checks(service)
        tried = checks.try_rule(_given(arguments) or _kept(checks.rules, arguments.name))
    examples = [{"series": one.key, "open": times.iso(at)} for one, at in tried.examples]
    if arguments.json:
        names = ("series", "bars", "found", "untold", "left")
        counts = {name: getattr(tried, name) for name in names}
        print_json({**counts, "examples": examples})
        return 0
    print(f"{arguments.name} {tried.said}")
    for one in examples:
        print(f"    {one['series']} {one['open']}")
    return 0


def save_one(arguments: argparse.Namespace) -> int:
    """Keep a rule in the file, and say what it would find."""
    rule = _given(arguments)
    if rule is None:
        raise InputError("it asks for nothing; give --holds or --bound", field="holds")
    with interruption.finishing(), run_service(Settings.load()) as service:
        checks = Checks(service)
        tried = checks.save_rule(rule, actor(), is_meant=arguments.yes)
        path = str(checks.rules.path)
    if arguments.json:
        counts = {} if tried is None else {"bars": tried.bars, "found": tried.found}
        print_json({"saved": rule.name, "on": rule.on, "file": path, **counts})
    else:
        more = "; new records that break it are dead-lettered" if rule.dead_letters and rule.on else ""
        from_now = f"and part of every check from now on{more}" if rule.on else "and off"
        print(f"{rule.name} is in {path}, {from_now}")
        if tried is not None:
            print(f"it {tried.said}")
    return 0


def forget_one(arguments: argparse.Namespace) -> int:
    """Take a rule out of the file."""
    with interruption.finishing(), run_service(Settings.load()) as service:
        Checks(service).remove_rule(arguments.name, actor())
    if arguments.json:
        print_json({"removed": arguments.name})
    else:
        print(f"{arguments.name} is gone; the next checks let go of what it found")
    return 0


def _given(arguments: argparse.Namespace) -> Rule | None:
    if not arguments.holds and not arguments.bound:
        return None
    return rule_of(
        name=arguments.name,
        holds=arguments.holds,
        bounds=_bounds(arguments.bound),
        series=tuple(arguments.series or ("*",)),
        says=arguments.says,
        severity=arguments.level,
        dead_letters=arguments.dead_letter,
        on=not getattr(arguments, "off", False),
    )


def _bounds(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, _, edges = text.partition("=")
        low, colon, high = edges.partition(":")
        if name.strip() in found:
            raise InputError(f"there are two bounds of {name.strip()}; give both its ends in one", field="bound")
        try:
            found[name.strip()] = (float(low), float(high))
        except ValueError:
            raise InputError(f"{text!r} is no bound; for example close=10:100000", field="bound") from None
        if not colon:
            raise InputError(f"{text!r} is no bound; for example close=10:100000", field="bound")
    return found


def _kept(rules: Rules, name: str) -> Rule:
    for rule in rules.all():
        if rule.name == name:
            return rule
    raise InputError(f"{name!r} is unknown; give --holds or --bound, or a name that `check rules` lists", field="name")
