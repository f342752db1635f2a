"""Columns of a part by their names: time, prices, volume, symbol and venue. Never by their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ffe_core.candles import PRICES, VALUES
from ffe_core.files import names
from ffe_core.files.found import Look
from ffe_core.files.questions import Choice, Question

_MOST_NAMED = 8


def map_columns(look: Look, answers: Mapping[str, Any]) -> None:
    """Find the columns of time, prices and volume, and those of symbols and venues; what is not found is asked."""
    if not _symbol_is_told(look):
        return
    profile, columns = look.profile, list(look.source.names)
    found: dict[str, Any] = {}
    for role in VALUES:
        _map_role(look, role, columns, found)
    time = profile.time or _time_of(columns)
    if time and all(part.strip() in columns for part in time.split(" + ")):
        found["time"] = time
        look.why["time"] = (
            time,
            "as you say" if "time" in answers else "as the profile says" if profile.time else "by its name",
        )
    missing = [role for role in ("time", *PRICES) if role not in found and not getattr(profile, role)]
    missing += [role for role in ("time", *PRICES) if getattr(profile, role) and role not in found]
    if "side" in profile.asks and not profile.side:
        look.questions.append(
            Question(
                "side",
                "the file holds bid and ask prices",
                (Choice("--side bid", "the bid's bars"), Choice("--side ask", "the ask's bars")),
            )
        )
        return
    if missing:
        look.questions.append(_ask_columns(columns, missing))
        return
    _map_volumes(look, columns, found)
    for role, known in (("symbol_column", names.SYMBOL), ("venue_column", names.VENUE)):
        by_name = names.first_named(columns, known)
        free = by_name if by_name not in found.values() else None
        found[role] = _spelt(getattr(profile, role), columns) or free or ""
    if "volume" not in found and not profile.without_volume:
        found["without_volume"] = True
        look.why["volume"] = ("", "no column is named so: the volume is 0")
    look.profile = profile.with_answers(**found)


def _symbol_is_told(look: Look) -> bool:
    """Whether the columns are of one symbol, or of one that was chosen; else it is asked which."""
    profile = look.profile
    if "{symbol}" not in profile.close or profile.symbol:
        return True
    begin = profile.close.replace("{symbol}", "")
    symbols = [name.removeprefix(begin) for name in look.source.names if name.startswith(begin)]
    if len(symbols) == 1:
        [look.symbol] = symbols
        look.profile = profile.with_answers(symbol=look.symbol)
        look.why["symbol"] = ("", f"every column is of {look.symbol}")
        return True
    choices = tuple(Choice(f"--symbol {name}", f"its column is {begin}{name}") for name in symbols[:_MOST_NAMED])
    look.questions.append(Question("symbol", "the file holds columns of several symbols", choices))
    return False


def _map_role(look: Look, role: str, columns: Sequence[str], found: dict[str, Any]) -> None:
    profile = look.profile
    given = profile.prices.get(role)
    if role == "volume" and profile.without_volume:
        return
    if given:
        spelt = {names.plain(name): name for name in reversed(columns)}
        column = given if given in columns else spelt.get(names.plain(given))
        if column:
            found[role] = column
            look.why[role] = (column, look.who_says(role))
        return
    taken = names.first_named([one for one in columns if one not in found.values()], names.ROLES[role])
    if taken:
        found[role] = taken
        look.why[role] = (taken, "by its name")


def _map_volumes(look: Look, columns: Sequence[str], found: dict[str, Any]) -> None:
    """Of two volumes named by their currencies the first is the base's: Volume BTC, Volume USD."""
    quote = _spelt(look.profile.quote_volume, columns) if look.profile.quote_volume else None
    by_currency = [name for name in columns if names.plain(name).startswith("volume") and names.plain(name) != "volume"]
    if "volume" not in found and not look.profile.without_volume and len(by_currency) == 2:
        found["volume"], quote = by_currency
        look.why["volume"] = (by_currency[0], f"the first of two volumes; {by_currency[1]!r} is the quote's")
    found["quote_volume"] = quote or ""


def _spelt(name: str, columns: Sequence[str]) -> str | None:
    """The column of a name, in whatever letters; None where there is none."""
    return next((column for column in columns if name and names.plain(column) == names.plain(name)), None)


def _time_of(columns: Sequence[str]) -> str:
    named = names.first_named(columns, names.TIME)
    spelt = [names.plain(column) for column in columns]
    clock = names.first_named(columns, names.CLOCKS)
    if named and clock and names.plain(named) in names.DAYS and not {"unix", "unixtimestamp"} & set(spelt):
        return f"{named} + {clock}"
    return named or ""


def _ask_columns(columns: Sequence[str], missing: Sequence[str]) -> Question:
    told = ", ".join(columns[:20])
    choices = tuple(Choice(f"--map {role}=COLUMN", f"which of {told} is the {role}", True) for role in missing)
    return Question("columns", f"no column is named like {', '.join(missing)}", choices)
