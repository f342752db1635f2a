"""Is a correction by hand one more version, with who and why, and does every stored row say where it comes from?"""

from __future__ import annotations

from pathlib import Path

import pytest

from ffe_core.candles import BY_HAND, VALUES
from ffe_core.errors import InputError, SeriesHeld
from ffe_core.insight import lineage
from ffe_core.insight.lineage import Origin, origins
from ffe_core.insight.versions import versions
from ffe_core.operations.corrections import correct
from ffe_core.operations.runs.service import RunService
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import micros
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import Database
from tests.ingestion.fakes import HOUR, START
from tests.operations.harness import Market, asked, done, opened

pytestmark = pytest.mark.both_stores
BTC = Series("BTCUSD", "1h", "coinbase")
OPEN = START + 2 * HOUR
BETTER = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 3.0}


def audit_of(service: RunService) -> Audit:
    return Audit(database_of(service))


def database_of(service: RunService) -> Database:
    return service.runs._database


def corrected(
    service: RunService,
    open_: int = OPEN,
    reason: str = "typo",
    began_from: int | None = None,
    **values: float | None,
) -> None:
    """Correct a bar, beginning from its latest version unless told otherwise."""
    began_from = began_from or latest(service, open_)
    correct(service.stores, audit_of(service), BTC, open_, {**BETTER, **values}, "ann", reason, began_from)


def latest(service: RunService, open_: int = OPEN) -> int | None:
    """The moment (epoch microseconds) at which the latest version of a bar was extracted; None if it has none."""
    moments = micros(versions(service.lake, BTC, open_)["_extracted_at"]).tolist()
    return moments[-1] if moments else None


def came_from(service: RunService) -> list[Origin | None]:
    """The origin of each version of the bar."""
    table = versions(service.lake, BTC, OPEN)
    ids = table["_ingestion_id"].to_pylist()
    moments = dict(zip(ids, micros(table["_extracted_at"]).tolist(), strict=True))
    found = origins(service.lake, database_of(service), BTC, moments)
    return [found.get(ingestion) for ingestion in ids]


@pytest.mark.both_servers
@pytest.mark.usefixtures("market")
def test_a_correction_is_a_new_version_and_the_old_one_stays(tmp_path: Path) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        before = versions(service.lake, BTC, OPEN).to_pylist()
        marks = service.lake.marks(BTC)
        corrected(service)
        after = versions(service.lake, BTC, OPEN).to_pylist()
        assert after[:1] == before
        assert {name: after[1][name] for name in VALUES} == BETTER
        assert after[1]["_extracted_at"] > after[0]["_extracted_at"]
        assert after[1]["_ingestion_id"].startswith(BY_HAND)
        assert service.lake.marks(BTC) == marks
        (act,) = audit_of(service).find(target=BTC.key)
        assert (act.actor, act.verb, act.reason) == ("ann", "correct", "typo")
        assert act.details["values"] == BETTER


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"high": 1.0}, "values: "),
        ({"close": None}, "values: "),
        ({"close": float("nan")}, "values: "),
        ({"reason": "  "}, "reason: say why"),
        ({"open_": START - HOUR}, "only a stored bar"),
        ({"open_": OPEN + 1}, "values: "),
    ],
)
@pytest.mark.usefixtures("market")
def test_what_cannot_be_a_correction_is_refused_and_nothing_is_written(
    tmp_path: Path, change: dict[str, float], says: str
) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        version = service.lake.snapshot(BTC.table).version  # type: ignore[union-attr]
        with pytest.raises(InputError, match=says):
            corrected(service, **change)  # type: ignore[arg-type]
        assert service.lake.snapshot(BTC.table).version == version  # type: ignore[union-attr]
        assert audit_of(service).find(target=BTC.key) == []


@pytest.mark.usefixtures("market")
def test_a_correction_that_began_from_an_older_version_is_refused_and_says_what_changed(tmp_path: Path) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        corrected(service)
        began = latest(service)
        corrected(service, volume=4.0, reason="by somebody else")
        with pytest.raises(InputError, match=r"^bar: BTCUSD .* was changed meanwhile \(volume from 3 to 4\); look"):
            corrected(service, close=11.5, began_from=began)
        assert versions(service.lake, BTC, OPEN).num_rows == 3
        corrected(service, close=11.5, volume=4.0)
        assert versions(service.lake, BTC, OPEN)["volume"].to_pylist()[-1] == 4.0


@pytest.mark.usefixtures("market")
def test_a_bar_that_was_changed_and_changed_back_is_another_version(tmp_path: Path) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        corrected(service)
        began = latest(service)
        corrected(service, volume=4.0)
        corrected(service)
        with pytest.raises(InputError, match=r"meanwhile \(to the same values in the end\)"):
            corrected(service, close=11.5, began_from=began)


@pytest.mark.usefixtures("market")
def test_a_correction_that_began_from_no_version_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        with pytest.raises(InputError, match=r"was stored meanwhile \(open .*, volume .*\); look at it again"):
            correct(service.stores, audit_of(service), BTC, OPEN, BETTER, "ann", "typo", None)


@pytest.mark.usefixtures("market")
def test_the_stored_values_are_no_correction(tmp_path: Path) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        corrected(service)
        with pytest.raises(InputError, match="stored already"):
            corrected(service, reason="the same again")
        assert len(audit_of(service).find(target=BTC.key)) == 1


def test_while_a_run_works_on_the_series_a_correction_is_refused(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        market.stops_at = START + 80 * HOUR
        run = service.start(asked(days=5), "ann")
        assert market.reached.wait(30)
        with pytest.raises(SeriesHeld):
            corrected(service)
        market.goes_on.set()
        service.wait(run, 30)


@pytest.mark.usefixtures("market")
def test_every_version_says_which_run_or_whose_hand_it_comes_from(tmp_path: Path) -> None:
    with opened(tmp_path) as service:
        first = done(service, asked())
        corrected(service)
        again = done(service, asked(mode="refetch"))
        assert came_from(service) == [Origin(first), Origin(None, "ann", "typo"), Origin(again)]


@pytest.mark.usefixtures("market")
def test_where_the_log_has_forgotten_a_commit_the_ledger_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as service:
        first = done(service, asked())
        corrected(service)
        done(service, asked("ETHUSD"))
        monkeypatch.setattr(lineage, "_MOST_COMMITS", 1)
        assert came_from(service) == [Origin(first), Origin(None, "ann", "typo")]


@pytest.mark.usefixtures("market")
def test_an_unknown_ingestion_has_no_origin(tmp_path: Path) -> None:
    with opened(tmp_path) as service:
        assert origins(service.lake, database_of(service), BTC, {"never": 1, f"{BY_HAND}never": 1}) == {}
