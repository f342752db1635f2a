"""How does every page look, empty and full, light and dark? `python -m tests.browser.screenshots OUT` takes them all.

The full data directory is made offline: a simulated market with its broken records, a pair that does not exist, an
exchange with a gap that later restates some bars, a watchlist and schedules. Pictures are 1440 x 900, the reference
size.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from playwright.sync_api import Browser, Page

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.schedules.service import Draft
from tests.browser.driver import ROOT, Server, Visitor, chromium, chromium_path, settled
from tests.fake_exchanges import CoinbaseExchange, Market, generated

SCHEMES = ("light", "dark")
_HOUR, _DAY = 3600, 86_400
_SHOWN = {"provider": "coinbase", "pair": "BTCUSD", "timeframe": "1h"}
PADDING = 20
"""Pixels of a table that hold no text."""
_FORM = {"provider": "simulated", "pairs": "BTCUSD,ETHUSD,SOLUSD", "timeframes": "1h,4h"}


def pages() -> list[str]:
    """Every page, the Overview first."""
    pages = {path.parent.name for path in (ROOT / "pages").glob("*/page.py")}
    return ["overview", *sorted(pages - {"overview"})]


_FULL: Mapping[str, Mapping[str, str]] = {
    "run": {"id": "2"},
    "backfill": _FORM,
    "candles": _SHOWN,
    "restatements": _SHOWN,
}
"""What the address of a page asks for when there is something to show."""


def address_of(page: str, kind: str) -> str:
    """The address at which a page shows what there is."""
    asked = _FULL.get(page, {}) if kind == "full" else {}
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    return "/" if page == "overview" else f"/{page}?{query}"


def fill(folder: Path) -> None:
    """Runs that completed, failed and found gaps, over the days before now."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=60)
    with CoinbaseExchange(Market(_held(int(first.timestamp()), int(today.timestamp()))), rate=None) as exchange:
        config = {"data_dir": str(folder), "coinbase": {"base_url": exchange.url, "requests_per_second": 1000}}
        console = ConsoleService(config).open()
        try:
            for provider, pairs, timeframes, days in (
                ("simulated", ["BTCUSD", "ETHUSD", "EURUSD", "XAUUSD", "AAPL"], ["1h", "1d"], 60),
                ("simulated", ["BTCUSD", "NOPEUSD", "GBPUSD"], ["15m"], 30),
                ("coinbase", ["BTCUSD", "ETHUSD", "SOLUSD"], ["1h"], 60),
            ):
                start, end = str((today - timedelta(days=days)).date()), str((today - timedelta(days=1)).date())
                request = BackfillRequest.of(provider, pairs, timeframes, start, end)
                console.run_service.wait(console.run_service.start(request, "ann"), 120)
            _restate(exchange.market)
            console.run_service.wait(console.run_service.start(replace(request, mode="refetch"), "ben"), 120)
            console.watchlists.save("Majors", "coinbase", ["BTCUSD", "ETHUSD", "SOLUSD"], ["1h"], "ann")
            console.schedules.create(Draft("Majors, every hour", watchlist="Majors"), "ann")
            daily = Draft("Shares after the close", "simulated", ("AAPL",), ("1d",))
            console.schedules.pause(console.schedules.create(daily, "ben").id, "until the key is renewed", "ben")
        finally:
            console.drain()


def _held(start: int, end: int) -> dict[tuple[str, int], dict[int, object]]:
    hours = {
        symbol: dict(generated(start, end, _HOUR, price=price))
        for symbol, price in (("BTC-USD", 64_000.0), ("ETH-USD", 3_100.0), ("SOL-USD", 150.0))
    }
    for at in range(start + 20 * _DAY, start + 20 * _DAY + 9 * _HOUR, _HOUR):
        del hours["BTC-USD"][at]
    return {(symbol, _HOUR): candles for symbol, candles in hours.items()}


def _restate(market: Market) -> None:
    """What an exchange does when it corrects volumes of the past."""
    for at, candle in list(market.candles("ETH-USD", _HOUR).items())[-200:-194]:
        market.put("ETH-USD", _HOUR, at, candle._replace(volume=str(Decimal(candle.volume) * 2)))


def take(browser: Browser, server: Server, out: Path, kind: str, wanted: Sequence[str]) -> list[Path]:
    """The wanted pages of a server in both schemes; what a page may not do (see `Visitor.faults`) ends it all."""
    taken = []
    for scheme in SCHEMES:
        visitor = Visitor(browser, server.base, scheme)
        for page in wanted:
            visitor.open(address_of(page, kind))
            visitor.page.wait_for_load_state("networkidle")
            settled(visitor.page)
            taken.append(out / f"{page}-{kind}-{scheme}.png")
            visitor.page.screenshot(path=taken[-1])
            if (cut := hidden_width(visitor.page)) > PADDING:
                print(f"{page}-{kind}-{scheme}: a table hides its last {cut} pixels: give its columns a smaller width")
        visitor.close()
        if visitor.faults:
            raise SystemExit("\n".join(visitor.faults))
    return taken


def hidden_width(page: Page) -> int:
    """How many pixels of its widest table a page does not show."""
    hidden = "all => Math.max(0, ...all.map(one => one.scrollWidth - one.clientWidth))"
    return int(page.locator("[data-testid=stDataFrame] .dvn-scroller").evaluate_all(hidden))


def _server(folder: Path, kind: str) -> Server:
    """A server that names its data directory as short as anybody would."""
    with suppress(FileExistsError):
        (folder / ".streamlit").symlink_to(ROOT / ".streamlit")
    at_home = {"FFE_DATA_DIR": kind, "HOME": str(folder)}
    return Server(folder / kind, at_home, script=str(ROOT / "app.py"), cwd=folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Take all pictures into a folder."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write to")
    parser.add_argument("--page", action="append", choices=pages(), help="only this one; may be repeated")
    options = parser.parse_args(arguments)
    out: Path = options.out
    path = chromium_path() or sys.exit("no Chromium: install it or set FFE_CHROMIUM")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, chromium(path) as browser:
        fill(Path(name) / "full")
        for kind in ("empty", "full"):
            server = _server(Path(name), kind).start()
            try:
                for picture in take(browser, server, out, kind, options.page or pages()):
                    print(picture)
            finally:
                server.stop()


if __name__ == "__main__":
    main()
