"""Does a path say pair and timeframe where it can only mean one, and nothing where it could mean another?"""

from __future__ import annotations

from pathlib import Path

import pytest

from ffe_core.files.look import Looker
from ffe_core.files.names import CLOSE, HIGH, LOW, OPEN, TIME, VOLUME, first_named
from ffe_core.files.pairs import named_in
from ffe_core.files.plan import ImportPlan, Planner, Target
from ffe_core.files.profile import shipped
from ffe_core.series import Series

NOTHING = ("", "")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("ONEUSD_1d.csv", ("ONEUSD", "1d")),
        ("uploads/65df3aab65df3cad/ONEUSD_1d.csv", ("ONEUSD", "1d")),
        ("BTC-USD-1h.csv", ("BTC-USD", "1h")),
        ("1h_BTCUSD.csv.gz", ("BTCUSD", "1h")),
        ("AAPL daily.csv", ("AAPL", "1d")),
        ("BRK-B_1d.csv", ("BRK-B", "1d")),
        ("TSCO.LON_1d.csv", ("TSCO.LON", "1d")),
        ("btc_usdt_5m.parquet", ("BTC-USDT", "5m")),
        ("EURUSD_H1_2024-01-02.csv", ("EURUSD", "1h")),
        ("ONEUSD_1d (1).csv", ("ONEUSD", "1d")),
        ("ONEUSD/1d.csv", ("ONEUSD", "1d")),
        ("1d/ONEUSD.csv", ("ONEUSD", "1d")),
        ("all.zip!ONEUSD/1d.csv", ("ONEUSD", "1d")),
        ("ONEUSD.csv", ("ONEUSD", "")),
        ("candles_1h.csv", ("", "1h")),
        ("my_data_1d.csv", ("", "1d")),
        ("COINBASE_BTCUSD_1d.csv", ("", "1d")),
        ("BTC_USDT_USDT-1h.csv", ("", "1h")),
        ("DATA/1d.csv", ("", "1d")),
        ("ONEUSD_1M.csv", NOTHING),
        ("ONEUSD_60.csv", NOTHING),
        ("1h_ONEUSD_1d.csv", NOTHING),
        ("AAPL.csv", NOTHING),
        ("A..B.csv", NOTHING),
        ("candles.csv", NOTHING),
    ],
)
def test_what_a_path_says(path: str, says: tuple[str, str]) -> None:
    assert named_in(f"/data/{path}") == says


def planned(folder: Path, *names: str, place: str = "files:mine") -> ImportPlan:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("Datum;Eröffnung;Hoch;Tief;Schluss;Volumen\n2026-01-05;1,5;2,5;0,5;1,25;10\n")
    return Planner(Looker(shipped(), None, {}), Target.of(place), 10).plan([folder / name for name in names])


def test_files_of_several_pairs_go_in_together_each_as_its_name_says(tmp_path: Path) -> None:
    plan = planned(tmp_path, "ONEUSD_1d.csv", "TWOUSD-1d.csv", "1d_SIXUSD.csv", "TENUSD/1d.csv")
    assert plan.questions == []
    assert set(plan.files) == {Series(f"{one}USD", "1d", "files:mine") for one in ("ONE", "TWO", "SIX", "TEN")}


def test_what_was_said_is_asked_about_where_the_name_says_another(tmp_path: Path) -> None:
    [(_, asked)] = planned(tmp_path, "ONEUSD_1d.csv", place="files:mine/TWOUSD/1d").questions
    assert (asked.code, asked.text) == ("name", "its name says ONEUSD, and TWOUSD is said")


@pytest.mark.parametrize(
    "header",
    [
        "Datum;Eröffnung;Hoch;Tief;Schluss;Volumen",
        "Datum;Eröffnungskurs;Tageshoch;Tagestief;Schlußkurs;Stücke",
        "Date;Ouverture;Plus haut;Plus bas;Clôture;Volume",
        "Fecha;Apertura;Máximo;Mínimo;Cierre;Volumen",
        "Data;Apertura;Massimo;Minimo;Chiusura;Volume",
        "Data;Abertura;Máxima;Mínima;Fechamento;Volume",
        "Datum;Openingskoers;Hoogste;Laagste;Slotkoers;Volume",
    ],
)
def test_columns_are_known_by_their_names_in_the_languages_of_exports(header: str) -> None:
    columns = header.split(";")
    assert [first_named(columns, names) for names in (TIME, OPEN, HIGH, LOW, CLOSE, VOLUME)] == columns


def test_date_and_clock_in_two_columns_are_one_time_in_every_language(tmp_path: Path) -> None:
    path = tmp_path / "ONEUSD_1h.csv"
    path.write_text("Datum;Uhrzeit;Eröffnung;Hoch;Tief;Schluss\n2026-01-05;09:00;1,5;2,5;0,5;1,25\n")
    plan = Planner(Looker(shipped(), None, {"zone": "UTC", "stamp": "open"}), Target.of("files:mine"), 10).plan([path])
    assert plan.looks[0].profile.time == "Datum + Uhrzeit"
    assert plan.looks[0].rows[0]["date"] == "2026-01-05T09:00:00+00:00"


def test_the_time_that_cannot_be_read_is_the_one_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ONEUSD_1h.csv"
    path.write_text("opentime,open,high,low,close\n2026-01-05T00:00Z,1,2,1,2\n2026-13-01T00:00Z,1,2,1,2\n")
    plan = Planner(Looker(shipped(), None, {}), Target.of("files:mine"), 10).plan([path])
    assert "'2026-13-01T00:00Z' in 'opentime' is no time; name the column" in plan.unreadable[0][1]


def test_rows_that_name_their_exchange_too_are_of_the_pair_alone(tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    rows = "".join(f"NASDAQ:AAPL,2026-01-{day:02},1,2,1,2\n" for day in range(5, 9))
    path.write_text(f"ticker,opentime,open,high,low,close\n{rows}")
    plan = Planner(Looker(shipped(), None, {}), Target.of("files:mine/MSFT/1d"), 10).plan([path])
    [(_, asked)] = plan.questions
    assert [one.option for one in asked.choices] == ["--any-name", "--as files:mine/AAPL/1d"]
