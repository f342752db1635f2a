"""`import`: bring candles from files into the lake, through the same rules as a backfill."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Sequence
from typing import Any

from ffe_core.cli import output
from ffe_core.cli.backfill import Progress, dead_letters_of, show_dead_letters
from ffe_core.cli.common import actor, follow, names, run_service, status_of, tidy_after
from ffe_core.cli.output import print_json, print_table, tell, warn
from ffe_core.cli.parser import VERBS, add_json
from ffe_core.counts import many
from ffe_core.errors import InputError
from ffe_core.files.found import Seen
from ffe_core.files.plan import ImportPlan, Target
from ffe_core.files.profile import Profile
from ffe_core.operations.dead_letters.edits import in_words
from ffe_core.operations.imports.options import DATES, columns_named, request_of
from ffe_core.operations.imports.request import ImportRequest
from ffe_core.operations.imports.service import Imports, planned, profiles_of, save_profile
from ffe_core.settings import Settings

_PROFILES = "profiles"
_SHOWN_FILES = 20
_TELL_EVERY = 500


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser(
        "import",
        help=VERBS["import"],
        description="Bring candles from files into the lake. What a file does not tell is asked, never guessed.",
        epilog="`import profiles` lists the forms that are known, `import profiles show NAME` prints one as a file.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="files or folders: CSV, TSV, JSON, parquet, feather, DBN, bi5; also in zip, gz, zst, tar",
    )
    parser.add_argument(
        "--as",
        dest="target",
        metavar="SOURCE[/PAIR[/TIMEFRAME]]",
        help="for example files:binance/BTCUSDT/1h; what is left out, the files' names say",
    )
    parser.add_argument(
        "--profile", default="", metavar="NAME|FILE", help="how the files are read: a known form, or a file.toml"
    )
    parser.add_argument(
        "--columns",
        type=_columns,
        default=(),
        metavar="A,B",
        help="names of the columns of files without a header, in their order; - for one that is left out",
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="WHAT=COLUMN",
        help="the column of time, open, high, low, close or volume",
    )
    parser.add_argument("--no-volume", action="store_true", help="the files hold no volume")
    parser.add_argument(
        "--zone", default="", metavar="ZONE", help="of the clock that times are of: UTC, UTC-5, America/New_York"
    )
    parser.add_argument(
        "--stamp", default="", choices=("open", "close"), help="whether a time is the open of its bar or its end"
    )
    parser.add_argument(
        "--unit", default="", choices=("s", "ms", "us", "ns"), help="of epochs; each row's size tells it otherwise"
    )
    parser.add_argument("--dates", default="", choices=tuple(DATES), help="how days and months are written")
    parser.add_argument("--decimal", default="", choices=(".", ","), help="the decimal sign")
    parser.add_argument("--thousands", default="", metavar="SIGN", help="what stands between thousands")
    parser.add_argument("--side", default="", choices=("bid", "ask"), help="of files with both")
    parser.add_argument(
        "--symbol", default="", metavar="NAME", help="of files with several: rows of others are left out"
    )
    parser.add_argument("--venue", default="", metavar="NAME", help="of files with a row a venue")
    parser.add_argument(
        "--volumes",
        default="",
        choices=("as-named", "by-price"),
        help="of files whose two volumes are swapped in some rows",
    )
    parser.add_argument(
        "--repeats",
        default="",
        choices=("first", "last"),
        help="which row counts where a file repeats bars with other values",
    )
    parser.add_argument(
        "--member", default="", metavar="PATTERN", help="read only the members of archives whose names match"
    )
    parser.add_argument("--any-name", action="store_true", help="take files and members whatever pair their names say")
    parser.add_argument("--again", action="store_true", help="read files that were imported before once more")
    parser.add_argument(
        "--save-profile", default="", metavar="NAME", help="keep how the files are read under this name"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the first rows as they would be read, and stop")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit status of an import: 2 if something has to be answered first, 1 if a file or a series failed."""
    settings = Settings.load()
    if arguments.files[0] == _PROFILES and arguments.target is None:
        return _show_profiles(arguments, settings)
    if arguments.target is None:
        raise InputError("say where the candles go, for example --as files:binance/BTCUSDT/1h", field="as")
    request = request_of(arguments.files, Target.of(arguments.target), vars(arguments))
    plan = planned(request, settings, _progress())
    for name in plan.empty:
        warn(f"{name} holds no rows", like="empty")
    if plan.questions:
        return _ask(plan, arguments.json)
    if arguments.save_profile and plan.looks:
        path = save_profile(settings, arguments.save_profile, plan.looks[0].profile)
        tell(f"kept as profile {arguments.save_profile} in {path}")
    if arguments.dry_run:
        return _show_plan(plan, arguments.json)
    return _import(plan, request, settings, arguments)


def _import(plan: ImportPlan, request: ImportRequest, settings: Settings, arguments: argparse.Namespace) -> int:
    with run_service(settings) as service:
        imports = Imports(service)
        gc.freeze()  # the plan of thousands of files stays: each collection would look through all of it
        run_id = imports.start(plan, request, actor(), "command line", lease_wait=settings.lease_wait_seconds)
        results = follow(service, run_id, Progress())
        tidy_after(service, run_id)
    unreadable = [{"file": path, "error": why} for path, why in plan.unreadable]
    if arguments.json:
        totals = {
            name: sum(result.get(key, 0) or 0 for result in results)
            for name, key in (("total_records", "records"), ("total_failed", "failed_records"))
        }
        print_json({**totals, "run": run_id, "results": results, "unreadable": unreadable, "empty": plan.empty})
    else:
        _show(results)
        for one in unreadable:
            print(f"\n{one['file']}: {one['error']}")
        show_dead_letters(results, run_id)
    return 1 if unreadable else status_of(results)


def _columns(text: str) -> tuple[str, ...]:
    return columns_named(names(text))


def _progress() -> Callable[[int], None]:
    told = 0

    def tell_progress(done: int) -> None:
        nonlocal told
        if done >= told + _TELL_EVERY:
            told = done
            tell(f"looked at {many(done, 'file')}")

    return tell_progress


def _ask(plan: ImportPlan, as_json: bool) -> int:
    """Show what has to be answered, with both readings and the option of each."""
    if as_json:
        print_json(
            {
                "questions": [{"file": name, **question.as_dict()} for name, question in plan.questions],
                "code": "unanswered",
                "exit_status": output.USAGE,
            }
        )
        return output.USAGE
    tell("nothing was stored: this has to be answered first")
    for name, question in plan.questions:
        print(f"\n{name}: {question.text}")
        for choice in question.choices:
            print(f"  {choice.option:<28} {choice.reading}")
    return output.USAGE


def _show_plan(plan: ImportPlan, as_json: bool) -> int:
    unreadable = [{"file": path, "error": why} for path, why in plan.unreadable]
    if as_json:
        series = [
            {"asset_pair": one.asset_pair, "timeframe": one.timeframe, "provider": one.provider, "files": len(files)}
            for one, files in plan.files.items()
        ]
        print_json(
            {
                "series": series,
                "forms": [_form(look) for look in plan.looks],
                "unreadable": unreadable,
                "empty": plan.empty,
            }
        )
        return 0
    print_table(
        ["pair", "timeframe", "source", "files"],
        [[s.asset_pair, s.timeframe, s.provider, f"{len(files):,}"] for s, files in plan.files.items()],
    )
    for look in plan.looks:
        _show_look(look)
    for one in unreadable:
        print(f"\n{one['file']}: {one['error']}")
    return 0


def _form(look: Seen) -> dict[str, Any]:
    why = {role: {"column": column, "why": reason} for role, (column, reason) in look.why.items()}
    return {"file": look.name, "profile": look.profile.name, "columns": why, "rows": look.rows}


def _show_look(look: Seen) -> None:
    print(f"\n{look.name}")
    print_table(
        ["what", "taken for it", "why"], [[role, column or "-", reason] for role, (column, reason) in look.why.items()]
    )
    print()
    for row in look.rows:
        read = "  ".join(
            f"{name} {row[name]}"
            for name in ("date", "open", "high", "low", "close", "volume")
            if row.get(name) is not None
        )
        wrong = f"  ({'; '.join(map(in_words, row['reasons']))})" if row["reasons"] else ""
        print(f"  {row.get('text', '')}\n    {read}{wrong}")


def _show(results: Sequence[dict[str, Any]]) -> None:
    header = [
        "pair",
        "timeframe",
        "status",
        "received",
        "new",
        "restated",
        "dead",
        "repeats",
        "expected",
        "unexplained",
    ]
    keys = [
        "asset_pair",
        "timeframe",
        "status",
        "received",
        "records",
        "restated",
        "failed_records",
        "repeats",
        "expected",
        "unexplained",
    ]
    rows = [{**result, "failed_records": dead_letters_of(result)} for result in results]
    print_table(header, [[_cell(row.get(key)) for key in keys] for row in rows])
    for result in results:
        files = result.get("files", [])
        print()
        for one in files[:_SHOWN_FILES]:
            print(f"  {_file_line(one)}")
        if len(files) > _SHOWN_FILES:
            print(f"  and {result['files_total'] - _SHOWN_FILES:,} more files; the run's page and --json have them")
        for notice in result.get("notices", []):
            print(f"\n{result['asset_pair']} {result['timeframe']}: {notice}")
        if "error" in result:
            print(f"\n{result['error']}")


def _file_line(one: dict[str, Any]) -> str:
    name = str(one["file"]).rsplit("/", 1)[-1]
    if one.get("error"):
        return f"{name}: {one['error']}"
    known = ", the same file as before: nothing new" if one["known"] else ""
    restated = f" ({one['restated']:,} restated)" if one["restated"] else ""
    others = "".join(
        f", {one[key]:,} {text}"
        for key, text in (("left_out", "of other symbols left out"), ("unfinished", "not closed yet"))
        if one[key]
    )
    return (
        f"{name}: received {one['received']:,} = stored {one['stored']:,}{restated}"
        f" + dead lettered {one['dead_lettered']:,} + repeats {one['repeats']:,}{known}{others}"
    )


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _show_profiles(arguments: argparse.Namespace, settings: Settings) -> int:
    profiles = profiles_of(settings)
    words = arguments.files[1:]
    if words and (words[0] != "show" or len(words) != 2):
        raise InputError("write `import profiles` or `import profiles show NAME`", field="profiles")
    if words:
        return _show_profile(profiles.get(words[1]), arguments.json)
    kept = profiles.kept()
    found = sorted(profiles.all().values(), key=lambda one: one.name)
    if arguments.json:
        print_json([{"name": one.name, "about": one.about, "kept": one.name in kept} for one in found])
    else:
        print_table(["profile", "what it reads"], [[one.name, one.about] for one in found])
    return 0


def _show_profile(profile: Profile, as_json: bool) -> int:
    if as_json:
        print_json(profile.model_dump(mode="json", exclude_defaults=True))
    else:
        print(profile.as_toml(), end="")
    return 0
