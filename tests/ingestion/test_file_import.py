"""Import of files into a series: counts that add up for each file, repeats, restatements, rows that know their file."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ffe_core.files.look import Looker
from ffe_core.files.plan import ImportPlan, Planner, Target, _is_another, found_files
from ffe_core.files.profile import shipped
from ffe_core.files.recognise import named_by
from ffe_core.ingestion import file_chunk, file_import
from ffe_core.ingestion.file_import import FileImport
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.instruments.names import normalize_pair
from ffe_core.providers import PROVIDERS
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.search import Wanted
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.imported_files import ImportedFiles
from ffe_core.storage.stores import Stores
from tests.files.making import BEGIN, FORMS, Candle, candles, kline, text

SERIES = Series("BTCUSDT", "1h", "files:binance")
KLINES = text(kline(1000, 3600))
FIRST = BEGIN - BEGIN % 3600


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    settings = Settings.load({"data_dir": str(tmp_path / "data")})
    return Stores(settings, DeltaLakeManager(settings.lake_uri))


def planned(
    paths: Sequence[Path], answers: dict[str, Any] | None = None, target: str = "files:binance/BTCUSDT/1h"
) -> ImportPlan:
    plan = Planner(Looker(shipped(), None, answers or {}), Target.of(target), 100).plan(found_files(paths))
    assert plan.questions == []
    return plan


def imported(stores: Stores, *paths: Path, **more: Any) -> tuple[SeriesResult, FileImport]:
    work = FileImport(SERIES, stores, **more)
    report = work.run(planned(paths).files[SERIES])
    for one in work.files:
        assert one.received == one.stored + one.dead_lettered + one.repeats
    counts = report.counts
    assert counts.received == counts.stored + counts.dead_lettered + counts.duplicates
    for name in ("received", "stored", "restated", "dead_lettered"):
        assert sum(getattr(one, name) for one in work.files) == getattr(counts, name)
    return report, work


def written(folder: Path, name: str, found: Sequence[Candle], content: bytes | None = None) -> Path:
    path = folder / name
    path.write_bytes(KLINES(found) if content is None else content)
    return path


def closes(stores: Stores) -> dict[int, float]:
    rows = stores.lake.current(SERIES, 0, 2**40, ["close"]).to_pydict()
    return {int(at.timestamp()): close for at, close in zip(rows["timestamp"], rows["close"], strict=True)}


def test_a_file_is_stored_whole_and_the_marks_are_its_own(stores: Stores, tmp_path: Path) -> None:
    found = candles("1h")
    report, work = imported(stores, written(tmp_path, "BTCUSDT-1h-2024-01.csv", found))
    assert report.error is None
    assert report.counts.stored == len(found)
    assert closes(stores) == {one.at: one.close for one in found}
    assert stores.lake.marks(SERIES) == Watermarks(found[-1].at, found[0].at)
    assert stores.watermarks.entries()[0].series == SERIES
    assert report.completeness is not None
    assert (report.completeness.expected, report.completeness.unexplained) == (len(found), 0)
    assert stores.lake.marks(Series("BTCUSDT", "1h", "coinbase")) == Watermarks()
    assert work.files[0].first == found[0].at


def test_each_row_bears_the_id_of_its_file_and_the_file_is_known_by_it(stores: Stores, tmp_path: Path) -> None:
    found = candles("1h")
    paths = [
        written(tmp_path, "BTCUSDT-1h-2024-01.csv", found[:10]),
        written(tmp_path, "BTCUSDT-1h-2024-02.csv", found[10:]),
    ]
    _, work = imported(stores, *paths)
    rows = stores.lake.current(SERIES, 0, 2**40, ["_ingestion_id"]).to_pydict()["_ingestion_id"]
    ids = [one.ingestion_id for one in work.files]
    assert rows == [ids[0]] * 10 + [ids[1]] * (len(found) - 10)
    known = ImportedFiles(stores.database).newest(SERIES)
    assert [known[one].name for one in ids] == list(map(str, paths))
    assert known[ids[0]].sha256 == hashlib.sha256(paths[0].read_bytes()).hexdigest()


def test_the_same_file_again_is_only_repeats_and_is_not_read(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "BTCUSDT-1h-2024-01.csv", candles("1h"))
    imported(stores, path)
    version = stores.lake.snapshot(SERIES.table).version  # type: ignore[union-attr]
    plan = planned([path])
    monkeypatch.setattr(file_import, "Opened", None)  # whoever reads it fails
    work = FileImport(SERIES, stores)
    report = work.run(plan.files[SERIES])
    assert report.error is None
    assert (report.counts.received, report.counts.duplicates, report.counts.stored) == (24, 24, 0)
    assert work.files[0].is_known
    assert stores.lake.snapshot(SERIES.table).version == version  # type: ignore[union-attr]


def test_it_can_be_read_again_all_the_same(stores: Stores, tmp_path: Path) -> None:
    path = written(tmp_path, "BTCUSDT-1h-2024-01.csv", candles("1h"))
    imported(stores, path)
    report, work = imported(stores, path, again=True)
    assert not work.files[0].is_known
    assert report.counts.duplicates == 24


def test_a_file_that_changed_restates(stores: Stores, tmp_path: Path) -> None:
    found = candles("1h")
    imported(stores, written(tmp_path, "BTCUSDT-1h-2024-01.csv", found))
    other = Candle(found[3].at, *found[3].values[:3], 101.25, found[3].volume)
    report, work = imported(stores, written(tmp_path, "BTCUSDT-1h-2024-01.csv", [*found[:3], other, *found[4:]]))
    assert (report.counts.stored, report.counts.restated, report.counts.duplicates) == (1, 1, 23)
    assert closes(stores)[other.at] == 101.25
    assert work.files[0].restated == 1


def test_an_earlier_file_restates_back_what_a_later_one_changed(stores: Stores, tmp_path: Path) -> None:
    found = candles("1h")
    first = written(tmp_path, "BTCUSDT-1h-2024-01.csv", found)
    other = Candle(found[3].at, *found[3].values[:3], 101.25, found[3].volume)
    second = written(tmp_path, "BTCUSDT-1h-2024-02.csv", [other])
    imported(stores, first)
    imported(stores, second)
    report, work = imported(stores, first)
    assert not work.files[0].is_known
    assert report.counts.restated == 1
    assert closes(stores)[other.at] == found[3].close


def test_of_two_files_that_disagree_both_are_kept_and_the_later_one_counts(stores: Stores, tmp_path: Path) -> None:
    found = candles("1h")
    other = Candle(found[3].at, *found[3].values[:3], 101.25, found[3].volume)
    report, work = imported(
        stores,
        written(tmp_path, "BTCUSDT-1h-2024-01.csv", found),
        written(tmp_path, "BTCUSDT-1h-2024-02.csv", [other, found[4]]),
    )
    assert [one.stored for one in work.files] == [24, 1]
    assert [one.repeats for one in work.files] == [0, 1]
    assert report.counts.restated == 1
    assert closes(stores)[other.at] == 101.25


def test_what_fails_is_a_dead_letter_with_its_file_and_line(stores: Stores, tmp_path: Path) -> None:
    lines = KLINES(candles("1h")).splitlines(keepends=True)
    lines[4] = lines[4].replace(b",98.25000,", b",-98.25000,", 1)
    lines[7] = b"1705330800000,1,2\n"
    path = written(tmp_path, "BTCUSDT-1h-2024-01.csv", [], b"".join(lines))
    report, _ = imported(stores, path)
    assert report.counts.dead_lettered == 2
    [batch] = stores.queue.batches()
    kept = stores.queue.read(batch.id)
    assert kept.series == SERIES
    assert kept.context["file"] == str(path)
    assert [record.raw["line"] for record in kept.records] == [5, 8]
    assert kept.records[0].raw["text"] == lines[4].decode().rstrip()
    assert kept.records[1].reasons == ["line_broken"]
    again, _ = imported(stores, path, again=True)
    assert (again.counts.dead_lettered, again.counts.duplicates) == (0, 24)
    assert stores.queue.count(Wanted()) == 2


def test_a_wrong_checksum_beside_a_file_refuses_it(stores: Stores, tmp_path: Path) -> None:
    right = written(tmp_path, "BTCUSDT-1h-2024-01.csv", candles("1h"))
    wrong = written(tmp_path, "BTCUSDT-1h-2024-02.csv", candles("1h", BEGIN + 86_400))
    right.with_name(right.name + ".CHECKSUM").write_text(
        f"{hashlib.sha256(right.read_bytes()).hexdigest()}  {right.name}\n"
    )
    wrong.with_name(wrong.name + ".CHECKSUM").write_text(f"{'0' * 64}  {wrong.name}\n")
    report, work = imported(stores, right, wrong)
    assert report.error is not None
    assert report.error.code == "file_refused"
    assert [one.stored for one in work.files] == [24, 0]
    assert "is not what" in (work.files[1].error or "")


def test_an_import_that_was_killed_continues(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was committed before, and whether or not it was written down, a second import comes to the same rows."""
    found = candles("1h", count=60)
    paths = [written(tmp_path, f"BTCUSDT-1h-2024-0{n + 1}.csv", found[n * 20 : n * 20 + 20]) for n in range(3)]
    monkeypatch.setattr(file_chunk, "_COMMIT_ROWS", 20)
    monkeypatch.setattr(file_import, "MOST_BYTES", 1)
    commits = []
    real = DeltaLakeManager.commit

    class Killed(BaseException):
        pass

    def commit(*args: Any) -> Any:
        if len(commits) == 1:
            raise Killed
        commits.append(1)
        return real(*args)

    work, files = FileImport(SERIES, stores), planned(paths).files[SERIES]
    with monkeypatch.context() as patch:
        patch.setattr(DeltaLakeManager, "commit", commit)
        with pytest.raises(Killed):
            work.run(files)
    assert len(closes(stores)) == 20
    report, _ = imported(stores, *paths)
    assert (report.counts.stored, report.counts.duplicates) == (40, 20)
    assert closes(stores) == {one.at: one.close for one in found}


def test_a_stopped_import_commits_what_it_has_read(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_import, "MOST_BYTES", 1)
    found = candles("1h", count=40)
    paths = [written(tmp_path, f"BTCUSDT-1h-2024-0{n + 1}.csv", found[n * 20 : n * 20 + 20]) for n in range(2)]
    asked = []
    work = FileImport(SERIES, stores, is_stopped=lambda: asked.append(1) is None and len(asked) > 2)
    work.run(planned(paths).files[SERIES])
    assert work.was_stopped
    assert len(closes(stores)) == 20


def test_bars_that_are_not_closed_are_left_for_a_later_file(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = candles("1h")
    monkeypatch.setattr("ffe_core.times.now", lambda: found[-1].at + 1800)
    report, work = imported(stores, written(tmp_path, "BTCUSDT-1h-2024-01.csv", found))
    assert report.counts.stored == len(found) - 1
    assert work.files[0].unfinished == 1


def test_large_files_are_committed_in_chunks_and_read_line_by_line(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = candles("1h", count=3000)
    lines = KLINES(found).splitlines(keepends=True)
    lines[2000] = b"broken\n"
    path = written(tmp_path, "BTCUSDT-1h-2024-01.csv.gz", [], gzip.compress(b"".join(lines)))
    monkeypatch.setattr("ffe_core.files.opening._SMALL", 1000)
    monkeypatch.setattr("ffe_core.files.forms.text._BLOCK_BYTES", 4096)
    monkeypatch.setattr(file_chunk, "_COMMIT_ROWS", 500)
    report, _ = imported(stores, path)
    assert (report.counts.stored, report.counts.dead_lettered) == (2999, 1)
    [batch] = stores.queue.batches()
    assert stores.queue.read(batch.id).records[0].raw["line"] == 2001


def test_a_source_of_files_is_found_among_providers_in_one_file(stores: Stores, tmp_path: Path) -> None:
    """Statistics name the first and the last provider of a data file; what lies between is named by the table."""
    imported(stores, written(tmp_path, "BTCUSDT-1h-2024-01.csv", candles("1h")))
    assert SERIES in stores.lake.all_marks(list(PROVIDERS))
    assert SERIES in stores.lake.all_marks([])


def test_target_and_names() -> None:
    assert Target.of("files:binance") == Target("files:binance")
    assert Target.of("Files:Binance/BTC-USD/1H") == Target("files:binance", "BTCUSD", "1h")
    assert Target.of("files:mine/AAPL") == Target("files:mine", "AAPL", "")
    assert Target.of("files:mine/BTC/USD/1d") == Target("files:mine", "BTCUSD", "1d")
    for wrong in ("binance/BTCUSD/1h", "files:/BTCUSD/1h", "files:a b/BTCUSD/1h", "coinbase"):
        with pytest.raises(ValueError, match=r"as: .*names no source of files"):
            Target.of(wrong)


@pytest.mark.parametrize("pair", ["BC/PB", "NEE 6.219", "BTC/USD", "BRK-B", "TSCO.LON", "FB@2025-06-26", "BC~2FPB"])
def test_odd_names_of_real_instruments_are_pairs_of_files(pair: str) -> None:
    assert Target.of(f"files:mine/{pair}/1d").pair == Target.at("files:mine", pair).pair == normalize_pair(pair)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("files:mine/BTCUSD/2h", "'2h' is no timeframe"),
        ("files:mine/BTCUSD/H1", "'H1' is no timeframe"),
        ("files:mine/files:mine/BTCUSD/1h", "'files:mine/BTCUSD' cannot be a pair"),
        ("files:mine/BTCUSD 1h", "'BTCUSD 1h' cannot be a pair"),
        ("files:mine/1d_BTCUSD", "'1d_BTCUSD' cannot be a pair"),
        ("files:mine/a/b/c", "'a/b/c' cannot be a pair"),
    ],
)
def test_a_place_is_no_pair(place: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Target.of(place)


def test_a_file_whose_name_says_another_pair_is_asked_about(tmp_path: Path) -> None:
    path = written(tmp_path, "ETHUSDT-1h-2024-01.csv", candles("1h"))
    looker = Looker(shipped(), None, {})
    asked = Planner(looker, Target.of("files:binance/BTCUSDT/1h"), 100).plan([path])
    assert [question.code for _, question in asked.questions] == ["name"]
    taken = Planner(looker, Target.of("files:binance/BTCUSDT/1h"), 100, any_name=True).plan([path])
    assert list(taken.files) == [SERIES]
    by_name = Planner(looker, Target.of("files:binance"), 100).plan([path])
    assert list(by_name.files) == [Series("ETHUSDT", "1h", "files:binance")]


def test_what_is_no_file_of_this_computer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"files: .*is not there"):
        found_files([tmp_path / "nothing.csv"])
    with pytest.raises(ValueError, match="no file to import"):
        found_files([tmp_path])


def test_files_of_several_kinds_in_one_series_are_asked_about(tmp_path: Path) -> None:
    """Spot and futures have the same names in folders of their own, mark prices those of the trades."""
    for folder in ("spot", "futures"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, "BTCUSDT-1h-2024-01.csv", candles("1h"))
    looker = Looker(shipped(), None, {})
    asked = Planner(looker, Target.of("files:binance"), 100).plan(found_files([tmp_path]))
    assert [question.code for _, question in asked.questions] == ["name"]
    assert "several files named BTCUSDT-1h-2024-01.csv" in asked.questions[0][1].text
    header = "timestamp,open,high,low,close,volume,dividend_amount,split_coefficient"
    other = written(tmp_path, "other.csv", [], text(lambda c: f"{c.at},1,2,1,2,3,0,1", header)(candles("1h")))
    paths = [tmp_path / "spot" / "BTCUSDT-1h-2024-01.csv", other]
    mixed = Planner(looker, Target.of("files:binance/BTCUSDT/1h"), 100).plan(paths)
    assert "files of the forms alpha-vantage, binance-klines" in mixed.questions[0][1].text
    assert Planner(looker, Target.of("files:binance/BTCUSDT/1h"), 100, any_name=True).plan(paths).questions == []


def test_a_future_and_its_spot_have_names_of_their_own() -> None:
    profile = shipped()["freqtrade"]
    spot = named_by(profile, "data/BTC_USDT-1h.feather").pair
    future = named_by(profile, "data/futures/BTC_USDT_USDT-1h-futures.feather").pair
    assert Series.of(spot, "1h", "files:ft") != Series.of(future, "1h", "files:ft")


def test_files_of_both_sides_in_one_series_are_asked_about(tmp_path: Path) -> None:
    header = "Gmt time,Open,High,Low,Close,Volume"
    rows = text(lambda c: f"{c.utc:%d.%m.%Y %H:%M:%S}.000,{c.open},{c.high},{c.low},{c.close},1", header)
    paths = [written(tmp_path, f"EURUSD_1 Hour_{side}_2024.csv", [], rows(candles("1h"))) for side in ("BID", "ASK")]
    planner = Planner(Looker(shipped(), None, {}), Target.of("files:duka/EURUSD/1h"), 100)
    assert "the bid and of the ask" in planner.plan(paths).questions[0][1].text
    assert planner.plan(paths[:1]).questions == []


def planned_as(folder: Path, place: str, *names: str, **options: Any) -> Any:
    looker = Looker(shipped(), None, options.pop("answers", {}))
    return Planner(looker, Target.of(place), 10, **options).plan([folder / name for name in names])


@pytest.mark.parametrize(
    ("profile", "own", "other"),
    [("databento-csv", "ESH1", "NQH1"), ("massive-aggregates", "AAPL", "MSFT"), ("yfinance-download", "JNJ", "PG")],
)
def test_a_file_whose_rows_say_another_pair_is_asked_about(profile: str, own: str, other: str, tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.profile == profile)
    form.write(tmp_path)
    [(_, question)] = planned_as(tmp_path, f"files:x/{other}/{form.timeframe}", form.path).questions
    assert question.code == "name"
    assert f"its rows are of {own}, and {other} is said" in question.text
    assert [one.option for one in question.choices] == ["--any-name", f"--as files:x/{own}/{form.timeframe}"]
    assert not planned_as(tmp_path, f"files:x/{own}/{form.timeframe}", form.path).questions
    assert not planned_as(tmp_path, f"files:x/{other}/{form.timeframe}", form.path, any_name=True).questions


@pytest.mark.parametrize(
    ("symbol", "pair", "is_another"),
    [
        ("AAPL.US", "AAPL", False), ("X:BTCUSD", "BTCUSD", False), ("BTC/USD", "BTCUSD", False),
        ("XBT/USD", "BTCUSD", False), ("ESH4", "ES", False), ("5482", "ES", False), ("BTC-USDT", "BTCUSD", True),
        ("BTC-USDT-SWAP", "BTCUSDT", True), ("ESH4", "NQ", True),
    ],
)  # fmt: skip
def test_a_symbol_is_held_against_a_pair_however_both_are_written(symbol: str, pair: str, is_another: bool) -> None:
    assert _is_another(symbol, pair) == is_another


def test_contracts_of_one_pair_are_no_series_of_one(tmp_path: Path) -> None:
    made = text(kline(1000, 3600))(candles("1h"))
    for names in (("BTCUSD_PERP-1h-2024-01.csv", "BTCUSD_240329-1h-2024-01.csv"),
                  ("BTCUSDT-1h-2024-01.csv", "BTCUSDT_240329-1h-2024-01.csv")):  # fmt: skip
        for name in names:
            (tmp_path / name).write_bytes(made)
        [(_, question)] = planned_as(tmp_path, "files:binance", *names).questions
        assert "files of several contracts" in question.text
        assert not planned_as(tmp_path, "files:binance", names[1]).questions
