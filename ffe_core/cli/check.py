"""`check`: whether what is stored agrees, what was found, and what somebody decided about it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ffe_core import times
from ffe_core.cli import interruption
from ffe_core.cli.common import actor, follow, names, run_service, status_of
from ffe_core.cli.output import print_json, print_table, warn
from ffe_core.cli.parser import VERBS, add_json, later
from ffe_core.counts import many

if TYPE_CHECKING:
    from ffe_core.operations.checks.service import Checks
    from ffe_core.series import Series
    from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
    from ffe_core.storage.state.findings import Finding, FindingRow

_SEVERITIES = "error, warning, notice"


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    text = VERBS["check"]
    parser = verbs.add_parser("check", help=text, description=f"Check {text}. Exit 1 when findings are open.")
    _filters(parser)
    parser.add_argument("--as-known-at", metavar="TIME", help="check what was known then; nothing of it goes on record")
    parser.set_defaults(run=run)
    acts = parser.add_subparsers(
        metavar="list|accept|reopen|compare|kinds|rules|try|save|forget", parser_class=type(parser)
    )
    shown = acts.add_parser("list", help="findings on record", description="Findings on record, checking nothing.")
    _filters(shown, default=argparse.SUPPRESS)
    shown.add_argument("--state", type=names, default=["open"], metavar="A,B", help="open, accepted, gone")
    shown.set_defaults(run=_list)
    _decision(acts, "accept", "accept findings until their bars change", needs_reason=True)
    _decision(acts, "reopen", "open accepted findings again", needs_reason=False)
    _compare_verb(acts)
    kinds = acts.add_parser("kinds", help="what is looked for", description="Every check and what it looks for.")
    add_json(kinds)
    kinds.set_defaults(run=_kinds)
    _rule_verbs(acts)


def _filters(parser: argparse.ArgumentParser, **default: Any) -> None:
    parser.add_argument(
        "--series", type=names, metavar="A,B", help="pairs or series: BTCUSD, BTCUSD/1h, BTCUSD/1h/coinbase", **default
    )
    parser.add_argument("--kind", type=names, metavar="A,B", help="only these; `check kinds` lists them", **default)
    parser.add_argument(
        "--severity",
        metavar="LEVEL",
        help=f"findings at least so severe are shown and make the status 1: {_SEVERITIES} (warning without it)",
        **default,
    )
    add_json(parser)


def _decision(acts: Any, name: str, does: str, *, needs_reason: bool) -> None:
    parser = acts.add_parser(name, help=does, description=f"{does.capitalize()}.")
    parser.add_argument("ids", nargs="+", type=int, metavar="ID", help="numbers, as `check list` gives them")
    parser.add_argument("--reason", required=needs_reason, default="", metavar="TEXT", help="why, for the record")
    add_json(parser)
    parser.set_defaults(run=_decide, act=name)


def run(arguments: argparse.Namespace) -> int:
    """Check, and print what is open; 1 if something so severe is."""
    from ffe_core.operations.checks.service import Checks
    from ffe_core.settings import Settings

    levels = _levels(arguments)
    with run_service(Settings.load()) as service:
        series = chosen_series(service.lake, arguments.series)
        checks = Checks(service)
        kinds = [check.name for check in checks.wanted(arguments.kind)]
        if arguments.as_known_at:
            at = times.parse_instant(arguments.as_known_at, "as_known_at")
            found = [one for done in checks.look(series, kinds, at) for one in done.findings]
            return _told(None, [one for one in found if one.severity in levels], arguments.json)
        pairs = sorted({one.asset_pair for one in series})
        run_id = checks.start(actor(), "command line", pairs=pairs, kinds=arguments.kind)
        results = follow(service, run_id, lambda rows: None)
        rows = _open(checks, series, kinds, levels)
    for result in results:
        if "error" in result:
            warn(f"{result['asset_pair']}: {result['error']}")
    return max(_told(run_id, rows, arguments.json), status_of(results))


def chosen_series(lake: DeltaLakeManager, asked: Sequence[str] | None) -> list[Series]:
    """The stored series that texts name, all without any. InputError for one that is not stored."""
    from ffe_core.errors import InputError
    from ffe_core.insight.stored import stored_series
    from ffe_core.instruments.matching import matching_names

    stored = [summary.series for summary in stored_series(lake)]
    if asked is None:
        return stored
    found: set[Series] = set()
    for text in asked:
        pair, *rest = text.split("/", 2)
        pairs = matching_names(pair, {one.asset_pair for one in stored})
        meant = {
            one for one in stored if one.asset_pair in pairs and [one.timeframe, one.provider][: len(rest)] == rest
        }
        if not meant:
            known = ", ".join(one.key for one in stored[:12]) or "nothing"
            raise InputError(f"{text!r} is not stored; there is {known}", field="series")
        found |= meant
    return sorted(found)


def _open(checks: Checks, series: Sequence[Series], kinds: Sequence[str], levels: Sequence[str]) -> list[FindingRow]:
    wanted = set(series)
    return [
        row for row in checks.findings.find(kinds=kinds, states=["open"], severities=levels) if row.series in wanted
    ]


def _list(arguments: argparse.Namespace) -> int:
    from ffe_core.operations.checks.service import Checks
    from ffe_core.settings import Settings
    from ffe_core.storage.state.findings import FINDING_STATES

    unknown = [state for state in arguments.state if state not in FINDING_STATES]
    if unknown:
        from ffe_core.errors import InputError

        raise InputError(f"{unknown[0]!r} is unknown; use one of {', '.join(FINDING_STATES)}", field="state")
    with run_service(Settings.load()) as service:
        checks = Checks(service)
        checks.require_known(arguments.kind or ())
        wanted = set(chosen_series(service.lake, arguments.series)) if arguments.series else None
        found = checks.findings.find(
            kinds=arguments.kind, states=arguments.state, severities=_levels(arguments, "notice")
        )
    _told(None, [row for row in found if wanted is None or row.series in wanted], arguments.json)
    return 0


def _decide(arguments: argparse.Namespace) -> int:
    from ffe_core.operations.checks.service import Checks
    from ffe_core.settings import Settings

    with interruption.finishing(), run_service(Settings.load()) as service:
        verb = getattr(Checks(service), arguments.act)
        changed = verb(arguments.ids, actor(), arguments.reason)
    if arguments.json:
        print_json({"changed": changed, "ids": arguments.ids})
    else:
        print(f"{'accepted' if arguments.act == 'accept' else 'reopened'} {many(changed, 'finding')}")
    return 0


def _kinds(arguments: argparse.Namespace) -> int:
    from ffe_core.checks.table import CHECKS

    if arguments.json:
        kinds = [{"kind": one.name, "severity": one.severity, "says": one.sentence} for one in CHECKS.values()]
        print_json({"kinds": kinds})
    else:
        print_table(["kind", "severity", ""], [[one.name, one.severity, one.sentence] for one in CHECKS.values()])
    return 0


def _levels(arguments: argparse.Namespace, otherwise: str = "warning") -> list[str]:
    from ffe_core.checks.model import SEVERITIES, checked_severity

    least = checked_severity(getattr(arguments, "severity", None) or otherwise)
    return list(SEVERITIES[: SEVERITIES.index(least) + 1])


def _told(run_id: int | None, rows: Sequence[FindingRow] | Sequence[Finding], as_json: bool) -> int:
    """Print findings; 1 if one of them is open or not on record."""
    documents = [document(row) for row in rows]
    if as_json:
        print_json({"run": run_id, "findings": documents})
    elif documents:
        shown = ("id", "severity", "kind", "asset_pair", "timeframe", "provider", "start", "bars", "says")
        header = [name.replace("asset_", "") for name in shown]
        print_table(header, [[str(one.get(name) or "") for name in shown] for one in documents])
    else:
        print("nothing found")
    return int(any(one["state"] in ("open", None) for one in documents))


def document(row: FindingRow | Finding) -> dict[str, Any]:
    """A finding as programs read it."""
    from ffe_core.operations.checks.service import kind_sentence
    from ffe_core.storage.state.findings import FindingRow

    one = row.series
    other = row.other if isinstance(row, FindingRow) else row.other.key if row.other else ""
    found: dict[str, Any] = {
        "id": getattr(row, "id", None),
        "kind": row.kind,
        "severity": row.severity,
        "asset_pair": one.asset_pair,
        "timeframe": one.timeframe,
        "provider": one.provider,
        "other": other or None,
        "start": times.iso(row.start),
        "end": times.iso(row.end),
        "bars": row.bars,
        "size": row.size,
        "says": kind_sentence(row.kind, row.evidence),
        "evidence": dict(row.evidence),
        "state": getattr(row, "state", None),
        "reason": getattr(row, "reason", None),
        "by": getattr(row, "actor", None),
    }
    return found


def _compare_verb(acts: Any) -> None:
    does = "what differs between two series, or a series and finer bars"
    parser = acts.add_parser("compare", help=does, description=f"Print {does}. Exit 1 when a bar differs.")
    parser.add_argument("series", nargs=2, metavar="SERIES", help="for example EURUSD/1h/oanda EURUSD/15m/oanda")
    parser.add_argument("--as-known-at", metavar="TIME", help="as known then")
    add_json(parser)
    parser.set_defaults(run=later("check_compare", "compare"))


def _rule_verbs(acts: Any) -> None:
    rules = acts.add_parser("rules", help="rules of your own", description="The rules of your own in rules.toml.")
    add_json(rules)
    rules.set_defaults(run=later("check_rules", "listed"))
    for name, does in (("try", "say what a rule would find in what is stored"), ("save", "keep a rule, and check it")):
        parser = acts.add_parser(name, help=does, description=f"{does.capitalize()}.")
        parser.add_argument("name", metavar="NAME", help="of the rule, for example close_in_range")
        parser.add_argument("--holds", default="", metavar="SQL", help="for example 'high <= 2 * low'")
        parser.add_argument(
            "--bound", action="append", default=[], metavar="COLUMN=LOW:HIGH", help="for example close=10:100000"
        )
        parser.add_argument("--for", dest="series", type=names, metavar="A,B", help="for example BTCUSD/1h,*/1d")
        parser.add_argument("--says", default="", metavar="TEXT", help="what it means")
        parser.add_argument("--level", default="warning", metavar="LEVEL", help=_SEVERITIES)
        parser.add_argument("--dead-letter", action="store_true", help="new records that break it are dead-lettered")
        if name == "save":
            parser.add_argument("--yes", action="store_true", help="also if that is more than 1 %% of what is stored")
            parser.add_argument("--off", action="store_true", help="keep it without checking by it")
        add_json(parser)
        parser.set_defaults(run=later("check_rules", f"{name}_one"))
    forget = acts.add_parser("forget", help="take a rule out", description="Take a rule out of rules.toml.")
    forget.add_argument("name", metavar="NAME")
    add_json(forget)
    forget.set_defaults(run=later("check_rules", "forget_one"))
