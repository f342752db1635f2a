"""Expressions of rules, evaluated over bars in a closed DuckDB, bounded in time and memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.errors import InputError
from ffe_core.rules.model import Rule
from ffe_core.storage.closed_duckdb import closed_connection, duckdb, lock, stopped_after

SECONDS, MEMORY_MB = 10.0, 512
"""What one rule may take over one window of bars."""
_MICROS = 1_000_000
_OF_MANY_BARS = frozenset({"select", "over", "from"})
"""Words with which an expression would look beyond its own bar."""
_COLUMNS = frozenset({"timestamp", *VALUES})
_PARTS = frozenset("CONSTANT OPERATOR CONJUNCTION COMPARISON COLUMN_REF FUNCTION BETWEEN CASE CAST TYPE".split())
"""What an expression is made of, as DuckDB's parser names it."""
_FUNCTIONS = frozenset(
    "abs ceil ceiling floor round trunc sign sqrt cbrt exp ln log log10 log2 pow power mod fmod greatest least nullif"
    " isnan isinf isfinite year quarter month week day dayofweek dayofyear isodow hour minute second epoch date_part"
    " date_trunc timezone to_days to_hours to_minutes to_seconds".split()
)
"""Functions of one bar that take little time and give the same answer every time; operators are functions too. A time
limit is looked at between steps only, so a function that makes much of little could not be stopped."""

Broken = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a rule says of each bar: whether it does not hold, and whether it cannot tell, which holds."""

    broken: Broken
    untold: Broken


def broken(
    rule: Rule, open_times: npt.NDArray[np.int64], values: Mapping[str, Any], seconds: float = SECONDS
) -> Broken:
    """Which bars a rule does not hold for; arguments and errors as `judge`."""
    return judge(rule, open_times, values, seconds).broken


def judge(rule: Rule, open_times: npt.NDArray[np.int64], values: Mapping[str, Any], seconds: float = SECONDS) -> Judged:
    """What a rule says of each bar. What it cannot tell holds: NULL, as a volume that is NaN is, and what DuckDB
    raises for a bar, as a number that does not fit its type; one odd bar must not stop the others.

    `open_times` in epoch seconds, `values` the five columns. InputError, with the field `holds`, for an expression that
    cannot be read, asks for more than one bar, or takes too long or too much memory; PackageMissing without DuckDB.
    """
    each = f"SELECT _place, TRY(NOT ({rule.expression})) AS _broken FROM bars"
    query = f"SELECT * FROM ({each}) WHERE _broken IS DISTINCT FROM FALSE"
    found = _evaluated(rule, query, open_times, values, seconds)
    broken, untold = np.zeros(len(open_times), dtype=bool), np.zeros(len(open_times), dtype=bool)
    place, is_broken = found["_place"].to_numpy(), found["_broken"]
    untold[place] = is_broken.is_null().to_numpy()
    broken[place] = is_broken.fill_null(False).to_numpy()
    return Judged(broken, untold)


def check(rule: Rule, open_times: npt.NDArray[np.int64], values: Mapping[str, Any]) -> None:
    """InputError, as `judge`, for a rule too that is no condition, or that raises for every one of these bars."""
    own = rule.model_copy(update={"bounds": {}}) if rule.holds else rule
    told = _evaluated(own, f"SELECT TRY({own.expression}) AS told FROM bars", open_times, values, SECONDS)["told"]
    if told.null_count == len(told):
        _evaluated(own, f"SELECT {own.expression} FROM bars", open_times, values, SECONDS)
    elif not pa.types.is_boolean(told.type):
        raise InputError(
            f"rule {rule.name} is no condition, which is true or false for a bar; for example high <= 2 * low",
            field="holds",
        )


def _evaluated(
    rule: Rule, query: str, open_times: npt.NDArray[np.int64], values: Mapping[str, Any], seconds: float
) -> pa.Table:
    """The answer to a query of `bars`, which has the columns and `_place`, that is made of a rule's expression."""
    package = duckdb()
    _require_one_bar(package, rule)
    columns = {"timestamp": pa.array(open_times * _MICROS).cast(TIMESTAMP)}
    columns |= {name: pa.array(values[name], pa.float64(), from_pandas=True) for name in VALUES}
    table = pa.table(columns | {"_place": pa.array(np.arange(len(open_times)))})
    with closed_connection(MEMORY_MB, threads=1) as connection:
        connection.register("bars", table)
        _require_plain(connection, rule, _query(package, rule))
        lock(connection)
        try:
            with stopped_after(connection, seconds):
                return connection.sql(query).to_arrow_table()
        except (package.InterruptException, package.OutOfMemoryException, MemoryError):
            what = f"more than {seconds:g} s or {MEMORY_MB} MiB for {len(open_times):,} bars"
            raise InputError(f"rule {rule.name} takes {what}; make it simpler", field="holds") from None
        except package.Error as error:
            said = str(error).splitlines()[0]
            raise InputError(f"rule {rule.name} cannot be evaluated: {said}", field="holds") from None


def _query(package: Any, rule: Rule) -> str:
    """One SELECT of the bars that break the rule; InputError if the expression makes anything else of it."""
    text = f"SELECT _place FROM bars WHERE NOT ({rule.expression})"
    try:
        statements = package.extract_statements(text)
    except package.Error as error:
        said = _what_is_wrong(package, rule.holds) or str(error)
        said = said.splitlines()[0].removeprefix("Parser Error: ")
        raise InputError(
            f"rule {rule.name} cannot be read: {said}; for example high <= 2 * low", field="holds"
        ) from None
    if len(statements) != 1 or statements[0].type != package.StatementType.SELECT:
        raise InputError(f"rule {rule.name} is more than one expression; for example high <= 2 * low", field="holds")
    return text


def _what_is_wrong(package: Any, holds: str) -> str:
    """What DuckDB says of the words as they were typed, without the brackets that they are put into; "" for nothing."""
    try:
        package.extract_statements(f"SELECT {holds}")
    except package.Error as error:
        return str(error)
    return ""


def _require_one_bar(package: Any, rule: Rule) -> None:
    words = _words(package, rule.holds)
    if found := sorted(words & _OF_MANY_BARS):
        raise InputError(
            f"rule {rule.name} uses {found[0].upper()}: a rule is about one bar and its columns"
            f" timestamp, {', '.join(VALUES)}",
            field="holds",
        )
    if ";" in words or _is_unbalanced(words, rule.holds, package):
        raise InputError(f"rule {rule.name} is no single expression; for example high <= 2 * low", field="holds")


def _require_plain(connection: Any, rule: Rule, query: str) -> None:
    """InputError for a function, a column or a construct that a rule does not have."""
    (text,) = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchone()
    (statement,) = json.loads(text)["statements"]
    for part in _parts(statement["node"]["where_clause"]):
        name = part.get("function_name", "").lower()
        columns = part.get("column_names", [])
        if name and name[0].isalpha() and name not in _FUNCTIONS:
            wrong = f"the function {name} is not among {', '.join(sorted(_FUNCTIONS))}"
        elif columns and (len(columns) > 1 or columns[0].lower() not in _COLUMNS):
            wrong = f'Referenced column "{".".join(columns)}" not found; a bar has timestamp, {", ".join(VALUES)}'
        elif part["class"] not in _PARTS:
            wrong = f"a {part['class'].lower()} is no part of a rule; for example high <= 2 * low"
        else:
            continue
        raise InputError(f"rule {rule.name} cannot be evaluated: {wrong}", field="holds")


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """The parts of a parsed expression, outermost first."""
    if isinstance(node, dict):
        if "class" in node:
            yield node
        node = list(node.values())
    for inner in node if isinstance(node, list) else ():
        yield from _parts(inner)


def _tokens(package: Any, text: str) -> list[tuple[str, Any]]:
    """The tokens of a text, and what each is, as DuckDB cuts it: quotes and comments are whole."""
    raw = text.encode()
    found = package.tokenize(text)
    edges = [at for at, _ in found] + [len(raw)]
    return [
        (raw[start:end].decode(errors="replace").strip(), kind)
        for (start, kind), end in zip(found, edges[1:], strict=True)
    ]


def _words(package: Any, text: str) -> set[str]:
    literals = (package.token_type.string_const, package.token_type.comment)
    return {word.lower() for word, kind in _tokens(package, text) if kind not in literals}


def _is_unbalanced(words: set[str], text: str, package: Any) -> bool:
    """Whether a bracket closes what the expression did not open: it would end the one it is put into."""
    depth = 0
    literals = (package.token_type.string_const, package.token_type.comment)
    for word, kind in _tokens(package, text):
        if kind in literals:
            continue
        for sign in word:
            depth += (sign == "(") - (sign == ")")
            if depth < 0:
                return True
    return depth != 0
