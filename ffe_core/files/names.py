"""Column names: what headers call time, prices and volume, in the forms and languages that are met."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ffe_core.timeframes import TIMEFRAMES

TIME = tuple(
    "opentime timeperiodstart windowstart unix unixtimestamp timestamp tsevent datetime mts gmttime localtime date time"
    " start t ts begin starttime timeopen tarih datum fecha data dtyyyymmdd indexlevel0"
    " zeitpunkt datumzeit datumuhrzeit zeitstempel horodatage dateheure dateetheure fechahora fechayhora"
    " dataora dataeora datahora dataehora datumtijd tijdstip zeit uhrzeit heure hora ora tijd jour dia giorno".split()
)
"""Names of the time of a bar, the most telling first."""
DAYS = ("date", "datum", "fecha", "data")
CLOCKS = ("time", "zeit", "uhrzeit", "heure", "hora", "ora", "tijd")
"""The two columns of a time that stands in two."""
OPEN = tuple(
    "open o priceopen openprice opening acilis eroffn eroffnung eroeffnung eroffnungskurs eroeffnungskurs erster"
    " ouverture ouv premier coursouverture coursdouverture apertura precioapertura preciodeapertura prezzoapertura"
    " prezzodiapertura abertura precoabertura precodeabertura openingskoers openingsprijs otwarcie".split()
)
HIGH = tuple(
    "high h pricehigh highprice yuksek hoch hochst hoechst hochstkurs hoechstkurs tageshoch haut plushaut max"
    " maximo maxima preciomaximo massimo prezzomassimo precomaximo hoog hoogste hoogstekoers najwyzszy".split()
)
LOW = tuple(
    "low l pricelow lowprice dusuk tief tiefst tiefstkurs tagestief bas plusbas min minimo minima preciominimo"
    " prezzominimo precominimo laag laagste laagstekoers najnizszy".split()
)
CLOSE = tuple(
    "close c priceclose closeprice closing schluss schlusskurs cloture courscloture coursdecloture fermeture cierre"
    " preciocierre preciodecierre chiusura prezzochiusura prezzodichiusura fechamento fecho encerramento"
    " precofechamento precodefechamento slot slotkoers sluiting sluitingskoers zamkniecie last latest price simdi"
    " zuletzt letzter ultimo dernier laatste laatst ostatnio".split()
)
VOLUME = tuple(
    "volume v vol volumetraded volumefrom tickvol tickvolume hac stuck stucke stueck stuecke volumen volumi volumes wol"
    " wolumen basevolume volumebase".split()
)
SYMBOL = ("symbol", "ticker", "instrumentname", "pair", "instrument")
VENUE = ("publisherid", "exchange", "venue", "exchangeid")
ENDS = ("closetime", "timeclose", "timeperiodend", "endtime", "end")
BEGINS = ("opentime", "timeperiodstart", "windowstart", "start", "openingtime", "tsevent")
ROLES = {"open": OPEN, "high": HIGH, "low": LOW, "close": CLOSE, "volume": VOLUME}

_MINUTES = {"1": "1m", "5": "5m", "15": "15m", "60": "1h", "240": "4h", "1440": "1d"}
_SPELT = {
    **dict.fromkeys(("minute", "m1", "1min", "1-minute", "1_m", "1_min", "min_1"), "1m"),
    **dict.fromkeys(("m5", "5min", "5-minute", "5_m", "5_min"), "5m"),
    **dict.fromkeys(("m15", "15min", "15-minute", "15_m", "15_min"), "15m"),
    **dict.fromkeys(("hour", "h1", "60min", "1hour", "1-hour", "1_hour", "hour_1"), "1h"),
    **dict.fromkeys(("h4", "240min", "4-hour", "4_hour"), "4h"),
    **dict.fromkeys(("daily", "day", "d", "d1", "1day", "1-day", "1_d", "1_day", "day_1"), "1d"),
}


def plain(name: str) -> str:
    """A column's name without what spellings differ in: <CLOSE>, Close and close are the same."""
    letters = name.replace("ı", "i").replace("ß", "ss")
    plain_letters = unicodedata.normalize("NFKD", letters).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", plain_letters.lower())


def first_named(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The column that has the earliest of these names; of several that do, the first."""
    spelt = [plain(column) for column in columns]
    found = next((name for name in names if name in spelt), None)
    return None if found is None else columns[spelt.index(found)]


def looks_like_header(cells: Sequence[str]) -> bool:
    """Whether a line names columns: none of its cells begins like a number."""
    filled = [cell for cell in cells if cell.strip()]
    return bool(filled) and not any(re.match(r"\s*[+-]?[\d.]", cell) for cell in filled)


def timeframe_named(text: str) -> str | None:
    """The timeframe that a part of a file's name or a period stands for; None for one there is not."""
    told = text.strip().lower()
    if told in TIMEFRAMES:
        return told
    return _MINUTES.get(told) or _SPELT.get(told)


def pair_named(text: str, aliases: dict[str, str]) -> str:
    """A pair as it stands in a file's name, its parts by the names that are stored."""
    name = text.upper()
    for written, meant in aliases.items():
        name = re.sub(rf"^{re.escape(written)}|{re.escape(written)}$", meant, name)
    return name
