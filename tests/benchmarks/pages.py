"""How long does each page take, cold against a bare Streamlit page, and warm against the build of release 0.1.0?

20 hourly pairs of a year, and a run of two more with dead letters, made by each build for itself. Cold: a fresh browser
profile each, from a server that has had visitors before, in turns with the bare page, which is a Streamlit script with
one dataframe of as many rows. Warm: a click in the sidebar of an open session, in turns with the same click in the
other build, which comes out of this repository's history. Each ends with the last change of the page.
`--only cold /runs /candles` measures just these pages, and just their cold loads.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from tests.benchmarks.harness import TREE, Numbers, Options, Ratio, Verdict, median, run, sample, spread
from tests.benchmarks.tick import build, released
from tests.benchmarks.watch import drawn, until_drawn, watched
from tests.browser.driver import Server, Visitor, chromium, chromium_path, settled

GOAL_COLD, GOAL_WARM = 1.25, 0.7
_MODULE = "tests.benchmarks.pages"
_PAIRS, _BARS = 20, 365 * 24
_BEGIN, _DAYS = 1_704_067_200, 30
PAGES = (
    "/",
    "/backfill",
    "/import_files",
    "/runs",
    "/run?id=1",
    "/schedules",
    "/watermarks",
    "/coverage",
    "/candles",
    "/dead_letters",
    "/findings",
    "/restatements",
    "/storage",
    "/settings",
)
CHANGES = ("backfill", "runs", "schedules", "watermarks", "coverage", "candles", "dead_letters", "restatements")
"""Pages that both builds have, in the order of the clicks."""
BUILDS = ("now", "0.1.0")
HOW = ("cold", "warm")
_OF_ALL = tuple(f"all, {name}" for name in BUILDS)
_NOTE = """link => link.addEventListener(
    'click', () => { timed.from = performance.now() }, {once: true, capture: true})"""


def fill_run(folder: Path) -> Numbers:
    """By the build at hand: a run of two pairs with dead letters, in a folder that has a lake of other series."""
    from ffe_core.series import Series

    console, request_of = build()
    service = console({"data_dir": str(folder), "simulated": {"broken_records": 0.02}})
    series = tuple(Series.of(pair, "1h", "simulated") for pair in ("BTCUSD", "ETHUSD"))
    run_id = service.run_service.start(request_of("simulated", series, _BEGIN, _BEGIN + _DAYS * 86_400), "benchmark")
    service.run_service.wait(run_id)
    service.drain()
    return {"run": run_id}


def measure(options: Options) -> Numbers:
    """One side in this process."""
    folder = Path(options["folder"])
    match options["what"]:
        case "run":
            return fill_run(folder)
        case "cold":
            return measure_cold(folder, Path(options["bare"]), options["pages"], options["rounds"])
        case _:
            trees = Path(options["former"]), Path(options["tree"])
            return measure_warm(folder, *trees, options["pages"], options["rounds"])


def measure_cold(folder: Path, script: Path, pages: Sequence[str], rounds: int) -> Numbers:
    """Milliseconds of the bare page ("bare") and of every page (by its address), and the ratio of each to the bare page
    that was loaded just before it ("PAGE / bare"); medians."""
    path = chromium_path()
    assert path, "no Chromium: install it or set FFE_CHROMIUM"
    with _started(Server(folder / "nothing", script=str(script)), Server(folder)) as servers, chromium(path) as browser:
        bare, console = servers
        found: dict[str, list[tuple[float, float]]] = {page: [] for page in pages}
        for number in range(1 + rounds):
            for page in pages:
                pair = drawn(browser, bare, "/"), drawn(browser, console, page)
                found[page] += [pair] if number else []
        taken = {page: statistics.median(ms for _, ms in pairs) for page, pairs in found.items()}
        ratios = {f"{page} / bare": statistics.median(ms / base for base, ms in found[page]) for page in pages}
        return {**taken, **ratios, "bare": statistics.median(base for pairs in found.values() for base, _ in pairs)}


def measure_warm(folder: Path, former: Path, tree: Path, changes: Sequence[str], rounds: int) -> Numbers:
    """Milliseconds of a page change now and in release 0.1.0, whose files are in `tree`; medians."""
    path = chromium_path()
    assert path, "no Chromium: install it or set FFE_CHROMIUM"
    old = Server(former, {"PYTHONPATH": str(tree)}, cwd=tree)
    with _started(Server(folder), old) as servers, chromium(path) as browser:
        found: dict[str, list[float]] = {}
        visitors = [watched(browser, server).open() for server in servers]
        for _ in range(1 + rounds):
            for page in changes:
                for name, visitor in zip(BUILDS, visitors, strict=True):
                    if len(changes) == 1:  # it is no change from the page itself
                        _changed(visitor, "")
                    found.setdefault(f"{page}, {name}", []).append(_changed(visitor, page))
    each = {name: statistics.median(ms[1:]) for name, ms in found.items()}
    return each | {f"all, {name}": sum(each[f"{page}, {name}"] for page in changes) for name in BUILDS}


def _changed(visitor: Visitor, page: str) -> float:
    """Milliseconds from the click on a page in the sidebar to its last drawing."""
    settled(visitor.page)
    link = visitor.page.locator(f"[data-testid=stSidebarNavLink][href$='/{page}']")
    link.evaluate(_NOTE)
    link.click()
    return until_drawn(visitor)


@contextmanager
def _started(*servers: Server) -> Iterator[tuple[Server, ...]]:
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
            server.start()
        yield servers


def _filled(folder: Path, pages: Sequence[str], changes: Sequence[str]) -> dict[str, Options]:
    """Both builds' data, what the former is made of, and the bare page; the sides that measure them."""
    # Not above: in the former build's process these names are not there.
    from tests.benchmarks.bare import bare_page
    from tests.benchmarks.console import fill_lake

    now, former, tree = folder / "now", folder / "former", folder / "tree"
    tree.mkdir()
    released(tree, "app.py", "ffe_core", "pages", ".streamlit")
    fill_lake(now, _PAIRS, _BARS)
    shutil.copytree(now, former, ignore=shutil.ignore_patterns("console.db*", "watermarks"))
    for data, more in ((now, {}), (former, {TREE: str(tree)})):
        sample(_MODULE, {"run": {"what": "run", "folder": str(data), **more}}, 1)
    bare = bare_page(folder / "bare.py", _PAIRS + 2)
    cold = {"what": "cold", "folder": str(now), "bare": str(bare), "pages": pages}
    warm = {"what": "warm", "folder": str(now), "former": str(former), "tree": str(tree), "pages": changes}
    return {how: side for how, side in {"cold": cold, "warm": warm}.items() if side["pages"]}


def chosen(parts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The pages to load cold and those to change to; without a page among the parts all, without a way both."""
    hows = [how for how in HOW if how in parts] or HOW
    pages = [page for page in PAGES if page in parts] or PAGES
    changes = [page for page in CHANGES if f"/{page}" in pages]
    return [*pages] if "cold" in hows else [], changes if "warm" in hows else []


def compare(size: int, repetitions: int, parts: Sequence[str] = (*HOW, *PAGES)) -> Verdict:
    """Each page `size` times in each of the processes."""
    pages, changes = chosen(parts)
    if not (pages or changes):
        raise SystemExit(f"release 0.1.0 has none of these pages; those of both are {', '.join(CHANGES)}")
    with tempfile.TemporaryDirectory() as name:
        sides = {side: {**options, "rounds": size} for side, options in _filled(Path(name), pages, changes).items()}
        found = sample(_MODULE, sides, repetitions)
    cold, warm = found.get("cold", []), found.get("warm", [])
    table = [["page", "cold, ms", "/ bare", "each", "warm, ms", "0.1.0, ms", "ratio", "each"]]
    table += [["bare", f"{median(cold, 'bare'):,.0f}", *[""] * 6]] if cold else []
    table += [_row(page, cold, warm) for page in pages or [f"/{page}" for page in changes]]
    ratios = [Ratio(f"cold load of {page} / bare page", median(cold, f"{page} / bare"), GOAL_COLD) for page in pages]
    if changes:
        which = "another page" if len(changes) == len(CHANGES) else ", ".join(changes)
        what = f"change to {which} in an open session / release 0.1.0"
        ratios.append(Ratio(what, _ratio(warm, _OF_ALL[0], _OF_ALL[1]), GOAL_WARM))
    return Verdict(f"Pages, medians of {size} loads and changes a process", table, ratios)


def _row(page: str, cold: Sequence[Numbers], warm: Sequence[Numbers]) -> list[str]:
    over = f"{page} / bare"
    loads = [f"{median(cold, page):,.0f}", f"{median(cold, over):.2f}", spread(cold, over, 2)] if cold else [""] * 3
    row = [page, *loads]
    names = [f"{page.strip('/')}, {name}" for name in BUILDS]
    if not warm or names[0] not in warm[0]:
        return [*row, "", "", "", ""]
    each = [{"ratio": numbers[names[0]] / numbers[names[1]]} for numbers in warm]
    taken = [f"{median(warm, name):,.0f}" for name in names]
    return [*row, *taken, f"{_ratio(warm, names[0], names[1]):.2f}", spread(each, "ratio", 2)]


def _ratio(found: Sequence[Numbers], what: str, over: str) -> float:
    return median(found, what) / median(found, over)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(3, 3), quick=(1, 1), parts=(*HOW, *PAGES))


if __name__ == "__main__":
    main()
