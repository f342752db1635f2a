"""Do the verbs on dead letters do what they say, for whom, and no more than that?"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ffe_core.errors import InputError
from ffe_core.operations.dead_letters.edits import FieldError, drop_volume, swap_high_low
from ffe_core.operations.dead_letters.service import DeadLetters, Edit, StaleEdit
from ffe_core.operations.runs.service import RunService
from ffe_core.series import Series
from ffe_core.storage.dead_letters.file import step
from ffe_core.storage.dead_letters.search import Wanted
from ffe_core.storage.state.audit import Audit
from tests.operations.harness import Market, asked, done, opened
from tests.storage.dead_letters.harness import BTC, HOUR, START, SWAPPED, dead_lettered, good, upside_down

pytestmark = pytest.mark.both_stores


@pytest.fixture
def service(tmp_path: Path, market: Market) -> Iterator[RunService]:
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def verbs(service: RunService) -> DeadLetters:
    return DeadLetters(service)


@pytest.fixture
def dlq(tmp_path: Path, service: RunService) -> Path:
    return tmp_path / "dlq"


def records(verbs: DeadLetters, batch_id: str) -> list[Any]:
    return verbs.queue.read(batch_id).records


class TestMending:
    @pytest.mark.both_servers
    def test_an_edit_is_a_revision_with_author_and_time(self, verbs: DeadLetters, dlq: Path):
        batch_id = dead_lettered(dlq, 0, 1)
        verbs.edit([Edit(batch_id, 1, 0, good(1))], "ann", "they were swapped")
        batch = verbs.queue.read(batch_id)
        assert [record.revision for record in batch.records] == [0, 1]
        assert (batch.records[1].raw, batch.records[1].value) == (upside_down(1), good(1))
        (taken,) = batch.history
        assert (taken["verb"], taken["by"], taken["why"]) == ("mend", "ann", "they were swapped")
        assert datetime.fromisoformat(taken["at"]).utcoffset() == timedelta(0)

    def test_one_fix_for_many(self, verbs: DeadLetters, dlq: Path):
        first, second = dead_lettered(dlq, 0, 1, 2), dead_lettered(dlq, 5)
        edits = verbs.edits({first: (0, 2), second: (0,)}, [swap_high_low, drop_volume])
        verbs.edit(edits, "ann")
        assert [record.revision for record in records(verbs, first)] == [1, 0, 1]
        expected = {name: value for name, value in good(5).items() if name != "volume"}
        assert records(verbs, second)[0].value == expected

    def test_a_fix_that_does_not_fit_names_the_record(self, verbs: DeadLetters, dlq: Path):
        batch_id = verbs.queue.save([upside_down(0), "text"], "e", BTC).batch_id
        assert batch_id
        with pytest.raises(InputError, match=f"{batch_id[:10]}.*#1: the record has no named fields"):
            verbs.edits({batch_id: (0, 1)}, [swap_high_low])

    def test_a_stale_edit_is_refused_with_both_versions(self, verbs: DeadLetters, dlq: Path):
        batch_id = dead_lettered(dlq, 0, 1)
        verbs.edit([Edit(batch_id, 0, 0, good(0, 5.0))], "ann")
        mine = [Edit(batch_id, 0, 0, good(0, 6.0)), Edit(batch_id, 1, 0, good(1))]
        with pytest.raises(StaleEdit, match=r"record 0 .* meanwhile by ann .* \(revision 1, yours") as caught:
            verbs.edit(mine, "bob")
        (conflict,) = caught.value.conflicts
        assert (conflict.edit.value, conflict.theirs, conflict.by) == (good(0, 6.0), good(0, 5.0), "ann")
        assert [record.revision for record in records(verbs, batch_id)] == [1, 0], "nothing of it was saved"
        verbs.edit([Edit(batch_id, 0, 1, good(0, 6.0))], "bob")
        assert records(verbs, batch_id)[0].value == good(0, 6.0)

    def test_an_edit_that_changes_nothing_is_no_revision(self, verbs: DeadLetters, dlq: Path):
        batch_id = dead_lettered(dlq, 0)
        verbs.edit([Edit(batch_id, 0, 0, upside_down(0))], "ann")
        assert verbs.queue.read(batch_id).history == []

    @pytest.mark.parametrize(
        ("value", "why"),
        [(good(0, open="x"), "open: 'x'"), (good(0, date="2024-01-01T00:30Z"), "grid"), (5, "object")],
    )
    def test_what_cannot_be_read_is_refused_and_nothing_saved(
        self, verbs: DeadLetters, dlq: Path, value: Any, why: str
    ):
        batch_id = dead_lettered(dlq, 0, 1)
        with pytest.raises(FieldError, match=why):
            verbs.edit([Edit(batch_id, 1, 0, good(1)), Edit(batch_id, 0, 0, value)], "ann")
        assert verbs.queue.read(batch_id).history == []

    def test_a_bar_that_has_not_closed_is_refused(self, verbs: DeadLetters, dlq: Path):
        batch_id = dead_lettered(dlq, 0)
        soon = datetime.now(UTC).replace(minute=0, second=0, microsecond=0).isoformat()
        with pytest.raises(FieldError, match="not closed yet"):
            verbs.edit([Edit(batch_id, 0, 0, good(0, date=soon))], "ann")

    def test_only_pending_records_are_mended(self, verbs: DeadLetters, dlq: Path):
        batch_id = dead_lettered(dlq, 0)
        verbs.discard({batch_id: (0,)}, "ann", "noise")
        with pytest.raises(InputError, match=r"#0: it is discarded; only a pending record"):
            verbs.edit([Edit(batch_id, 0, 0, good(0))], "bob")

    @pytest.mark.parametrize("number", [-1, 1, 10**30])
    def test_a_record_that_there_is_not_is_said(self, verbs: DeadLetters, dlq: Path, number: int):
        batch_id = dead_lettered(dlq, 0)
        for verb in (
            lambda: verbs.edit([Edit(batch_id, number, 0, good(0))], "ann"),
            lambda: verbs.replay({batch_id: (number,)}, "ann"),
            lambda: verbs.discard({batch_id: (number,)}, "ann", "x"),
            lambda: list(verbs.preview({batch_id: (number,)})),
        ):
            with pytest.raises(InputError, match="has no record"):
                verb()


class TestPreview:
    def test_each_record_is_judged_and_nothing_is_written(
        self, verbs: DeadLetters, service: RunService, dlq: Path, tmp_path: Path
    ):
        done(service, asked(days=1))
        stored = market_candle(service)
        same = {**{name: str(value) for name, value in stored.items()}, "date": good(3)["date"]}
        records = [good(100), upside_down(101), good(3, 5.0), same, good(100, 7.0)]
        batch_id = verbs.queue.save(records, "e", BTC, [["x"]] * 5).batch_id
        assert batch_id
        before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*.json"))
        checks = list(verbs.preview({batch_id: range(5)}))
        assert [check.outcome for check in checks] == ["fails", "fails", "fails", "identical", "passes"]
        assert [checks[n].reasons for n in range(3)] == [("superseded",), tuple(SWAPPED), ("superseded",)]
        (collision,) = verbs.preview({batch_id: (2,)})
        assert (collision.outcome, collision.stored) == ("collides", stored)
        assert collision.candle
        assert collision.candle["open"] == 5.0
        assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*.json")) == before

    def test_an_edit_is_judged_as_if_it_were_saved(self, verbs: DeadLetters, dlq: Path):
        batch_id = dead_lettered(dlq, 0, 1)
        edits = verbs.edits({batch_id: (1,)}, [swap_high_low])
        assert [v.outcome for v in verbs.preview({batch_id: (0, 1)}, edits)] == ["fails", "passes"]

    def test_a_bar_that_has_not_closed_does_not_pass(self, verbs: DeadLetters):
        soon = datetime.now(UTC).replace(minute=0, second=0, microsecond=0).isoformat()
        batch_id = verbs.queue.save([good(0, date=soon)], "e", BTC).batch_id
        assert batch_id
        (check,) = verbs.preview({batch_id: (0,)})
        assert (check.outcome, check.reasons) == ("fails", ("not_closed",))

    def test_a_later_share_of_a_long_list_knows_what_the_earlier_would_store(
        self, verbs: DeadLetters, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("ffe_core.operations.dead_letters.service.CHUNK_RECORDS", 1)
        batch_id = verbs.queue.save([good(0, mark=1), good(0, mark=2), good(0, 9.0)], "e", BTC).batch_id
        assert batch_id
        assert [v.outcome for v in verbs.preview({batch_id: range(3)})] == ["passes", "identical", "collides"]

    def test_a_batch_without_a_series_belongs_nowhere(self, verbs: DeadLetters):
        batch_id = verbs.queue.save([good(0)], "e", {"asset_pair": "../x"}).batch_id
        assert batch_id
        for verb in (lambda: list(verbs.preview({batch_id: (0,)})), lambda: verbs.replay({batch_id: (0,)}, "ann")):
            with pytest.raises(InputError, match="names no pair, timeframe and provider"):
                verb()
        assert verbs.discard({batch_id: (0,)}, "ann", "whose is it?") == 1

    def test_an_empty_list_is_no_list(self, verbs: DeadLetters):
        with pytest.raises(InputError, match="the list is empty"):
            verbs.replay({}, "ann")


def market_candle(service: RunService) -> dict[str, float]:
    """The stored candle of hour 3."""
    at = START + 3 * HOUR
    row = service.lake.current(Series("BTCUSD", "1h", "coinbase"), at, at + 1).to_pylist()[0]
    return {name: row[name] for name in ("open", "high", "low", "close", "volume")}


class TestDiscardAndRestore:
    @pytest.mark.both_servers
    def test_a_mark_with_a_reason_that_can_be_taken_back(self, verbs: DeadLetters, dlq: Path):
        batch_id = dead_lettered(dlq, 0, 1, 2)
        assert verbs.discard({batch_id: (0, 1, 1)}, "ann", " noise ") == 2
        assert verbs.discard({batch_id: (0, 1)}, "bob", "again") == 0
        assert verbs.queue.count(Wanted(status="discarded")) == 2
        assert verbs.restore({batch_id: (1, 2)}, "bob") == 1
        assert [record.status for record in records(verbs, batch_id)] == ["discarded", "pending", "pending"]
        history = verbs.queue.read(batch_id).history
        assert [(s["verb"], s["by"], s.get("why"), s["records"]) for s in history] == [
            ("discard", "ann", "noise", [0, 1]),
            ("restore", "bob", None, [1]),
        ]

    @pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
    def test_a_reason_is_required(self, verbs: DeadLetters, dlq: Path, reason: str):
        batch_id = dead_lettered(dlq, 0)
        with pytest.raises(InputError, match="reason: say why"):
            verbs.discard({batch_id: (0,)}, "ann", reason)
        assert verbs.queue.read(batch_id).history == []


class TestPurge:
    def old(self, verbs: DeadLetters, batch_id: str, days: float = 40) -> None:
        """Make all of an entry's history as old as that."""
        path = verbs.queue.storage_path / f"{batch_id}.json"
        content = json.loads(path.read_text())
        stamp = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        content["timestamp"] = stamp
        content["history"] = [{**taken, "at": stamp} for taken in content.get("history", [])]
        path.write_text(json.dumps(content, indent=3))
        verbs.queue._index._seen = None

    @pytest.mark.of_a_lake_folder("files are written as old ones; those of a store: test_stored")
    def test_only_what_is_finished_and_old_goes_and_an_audit_row_stays(
        self, verbs: DeadLetters, service: RunService, dlq: Path
    ):
        pending, fresh, old, half = (
            dead_lettered(dlq, 0),
            dead_lettered(dlq, 1, 2),
            dead_lettered(dlq, 3, 4),
            dead_lettered(dlq, 5, 6),
        )
        verbs.discard({fresh: (0, 1), old: (0, 1), half: (0,)}, "ann", "noise")
        for batch_id in (pending, old, half):
            self.old(verbs, batch_id)
        assert [row.id for row in verbs.purgeable(30)] == [old]
        gone = verbs.purge([pending, fresh, old, half], 30, "ann", "over a month old")
        assert gone == [old]
        assert {row.id for row in verbs.queue.batches()} == {pending, fresh, half}
        (row,) = Audit(service.database).find(verb="purge dead letters")
        assert (row.actor, row.reason, row.target) == ("ann", "over a month old", "1 batch, 2 records")
        assert row.details["entries"] == [old]

    def test_what_was_restored_meanwhile_stays(self, verbs: DeadLetters, dlq: Path):
        batch_id = dead_lettered(dlq, 0)
        verbs.discard({batch_id: (0,)}, "ann", "noise")
        listed = [row.id for row in verbs.purgeable(0)]
        verbs.restore({batch_id: (0,)}, "bob")
        assert verbs.purge(listed, 0, "ann", "old") == []
        assert verbs.queue.count() == 1

    @pytest.mark.parametrize("days", [-1, float("nan")])
    def test_an_age_that_is_none(self, verbs: DeadLetters, days: float):
        with pytest.raises(InputError, match="days"):
            verbs.purgeable(days)


class TestExport:
    def test_json_holds_all_that_is_known(self, verbs: DeadLetters, dlq: Path):
        batch_id = dead_lettered(dlq, 0, 1)
        verbs.edit(verbs.edits({batch_id: (1,)}, [swap_high_low]), "ann", "swapped")
        (row,) = json.loads(verbs.export_json({batch_id: (1,)}))
        assert (row["entry"], row["record"], row["raw"], row["value"]) == (batch_id, 1, upside_down(1), good(1))
        assert (row["status"], row["reasons"], row["bar"]) == ("pending", SWAPPED, "2024-01-01T01:00:00+00:00")
        assert [(taken["verb"], taken["by"], taken["why"]) for taken in row["history"]] == [("mend", "ann", "swapped")]

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
    def test_a_cell_that_could_be_a_formula_is_text(self, verbs: DeadLetters, start: str):
        record = good(0, open=f"{start}cmd|' /C calc'!A0")
        batch_id = verbs.queue.save([record], "e", {**BTC, "run_id": f"{start}x"}).batch_id
        assert batch_id
        head, cells = csv.reader(io.StringIO(verbs.export_csv({batch_id: (0,)}), newline=""))
        row = dict(zip(head, cells, strict=True))
        assert row["open"].startswith("'")
        assert row["run"].startswith("'")
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
        assert json.loads(row["received"])["open"] == record["open"]

    def test_a_negative_number_stays_a_number(self, verbs: DeadLetters):
        record = good(0, low="-98.5", volume=-1e-7)
        batch_id = verbs.queue.save([record], "e", BTC).batch_id
        assert batch_id
        head, cells = csv.reader(io.StringIO(verbs.export_csv({batch_id: (0,)}), newline=""))
        row = dict(zip(head, cells, strict=True))
        assert (float(row["low"]), float(row["volume"])) == (-98.5, -1e-7)

    def test_hostile_content_is_exported_as_text(self, verbs: DeadLetters):
        hostile = {"date": "\ud800", "open": "<script>", "x": "y" * 1_000_000, "deep": json.loads("[" * 90 + "]" * 90)}
        batch_id = verbs.queue.save([hostile, None, [1]], "\udfff", {"asset_pair": "../../x"}).batch_id
        assert batch_id
        chosen = {batch_id: range(3)}
        assert len(json.loads(verbs.export_json(chosen).encode("utf-8"))) == 3
        exported = verbs.export_csv(chosen).encode("utf-8")
        assert exported.count(b"\r\n") == 4
        assert b"\\ud800" in exported


def test_steps_are_told_record_by_record(verbs: DeadLetters, dlq: Path):
    batch_id = dead_lettered(dlq, 0, 1)
    verbs.queue.change(
        [batch_id],
        lambda _: {batch_id: [step("replay", "ann", run=4, stored={"0": 0}, kept=[], failed={"1": ["off_grid"]})]},
    )
    first, second = verbs.rows({batch_id: (0, 1)})
    assert [(s["outcome"], s["run"]) for s in first["history"]] == [("stored", 4)]
    assert [(s["outcome"], s["reasons"]) for s in second["history"]] == [("still failed", ["off_grid"])]
