"""The console's one service: settings, database, runs and leadership, opened with the server and drained with it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from ffe_core.errors import DatabaseError, FFEError, InputError, StorageError
from ffe_core.ingestion.hour_grid import learn_from_stored
from ffe_core.insight.coverage import Coverage
from ffe_core.insight.overview import Overviews
from ffe_core.insight.stored import stored_series
from ffe_core.insight.units import NumberFormats
from ffe_core.operations.checks.keeper import CheckKeeper
from ffe_core.operations.checks.service import Checks
from ffe_core.operations.coverage.keeper import CoverageKeeper
from ffe_core.operations.coverage.service import CoverageRuns
from ffe_core.operations.gaps import GapVerbs
from ffe_core.operations.imports.uploads import Uploads
from ffe_core.operations.instruments.search import InstrumentSearch
from ffe_core.operations.instruments.service import Instruments
from ffe_core.operations.leader import Leadership
from ffe_core.operations.runs.service import RunService
from ffe_core.operations.schedules.engine import Scheduler
from ffe_core.operations.schedules.notifications import Notifier
from ffe_core.operations.schedules.requests import Plans
from ffe_core.operations.schedules.runs import ScheduledRuns
from ffe_core.operations.schedules.service import Schedules
from ffe_core.operations.upkeep.keeper import Keeper
from ffe_core.operations.upkeep.service import Upkeep
from ffe_core.operations.watermarks import WatermarkVerbs
from ffe_core.providers import PROVIDERS
from ffe_core.redaction import redact
from ffe_core.settings import Config, Settings, unknown_settings
from ffe_core.storage.files import why
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.opening import acknowledge, open_state, state_notice
from ffe_core.storage.state.schedules import ScheduleStore
from ffe_core.storage.state.watchlists import Watchlists

log = logging.getLogger(__name__)


class StandbyError(FFEError):
    """This process is a standby: it reads everything and starts nothing; the message says who leads."""


class ConsoleService:
    """Everything the pages call. `open` it once a process; `drain` it when the server ends."""

    def __init__(self, config: Config | Settings | None = None) -> None:
        self.settings = Settings.load(config)
        self.settings.check_sections()
        self.database = open_state(self.settings)
        self.state_notice = state_notice(self.database, self.settings)
        try:
            self.run_service = RunService(self.settings, self.database)
        except BaseException:
            self.database.close()
            raise
        self.runs = self.run_service.runs
        self.lake = self.run_service.lake
        stores = self.run_service.stores
        self.queue, self.watermarks, self.acknowledged = stores.queue, stores.watermarks, stores.acknowledged
        self.audit = Audit(self.database)
        self.coverage = Coverage(stores, stores.range_cache)
        self.overviews = Overviews(self.coverage, self.watermarks, self.runs, self.settings)
        self.watermark_verbs = WatermarkVerbs(self.run_service, self.audit)
        self.gap_verbs = GapVerbs(self.coverage, self.acknowledged, self.audit)
        self.watchlists = Watchlists(self.database)
        self.instruments = Instruments(self.settings, self.database, self.watermarks.has_pair)
        self.instrument_search = InstrumentSearch(self.instruments, self.audit)
        self.formats = NumberFormats(self.instruments.store, self.lake)
        self.last_error: str | None = None
        store, plans = ScheduleStore(self.database), Plans(self.settings, self.watchlists)
        runs = ScheduledRuns(self.run_service, self.database)
        self.notices = Notifier(self.settings, store)
        self.scheduler = Scheduler(store, plans, runs, self.notices)
        self.schedules = Schedules(
            store,
            plans,
            runs,
            self.audit,
            is_listed=self.instruments.is_listed,
            instruments=self.instruments,
            wake=self.scheduler.wake,
        )
        self.upkeep = Upkeep(self.run_service)
        self.keeper = Keeper(self.upkeep, self.settings.upkeep.every_minutes, sweep=Uploads(self.settings).sweep)
        self.checks = Checks(self.run_service)
        self.check_keeper = CheckKeeper(self.checks, self.settings.checks)
        self.coverage_keeper = CoverageKeeper(CoverageRuns(self.run_service), self.coverage)
        self.run_service.on_end = self._note_end
        self.run_service.locks.role = "the console"
        self._leadership = Leadership(self.run_service.locks, self._take_over)

    def open(self) -> ConsoleService:
        """Take the lead, or stand by for it. OSError or DatabaseError if the locks cannot be used."""
        try:
            self._leadership.start()
        except (OSError, DatabaseError):
            self.drain()
            raise
        return self

    def drain(self) -> None:
        """Fire nothing more, interrupt what runs after the commit in flight, and give up the lead."""
        self.scheduler.stop()
        self.keeper.stop()
        self.check_keeper.stop()
        self.coverage_keeper.stop()
        self.notices.stop()
        self.run_service.close()
        self.instruments.catalogues.close()
        self._leadership.stop()
        self.database.close()

    @property
    def leads(self) -> bool:
        """Whether this process fires schedules."""
        return self._leadership.leads

    @property
    def acts(self) -> bool:
        """Whether this process may start runs and change something: the leader of a data directory alone, any console
        where a server keeps the state."""
        return self.run_service.locks.are_for_many or self.leads

    @property
    def leader(self) -> str:
        """Who leads, in words."""
        try:
            return self._leadership.leader()
        except DatabaseError:
            return "not known, as the database cannot be asked"

    def require_lead(self) -> None:
        """StandbyError on a standby: for every verb that starts or changes something."""
        if not self.acts:
            raise StandbyError(f"this console is a standby and starts nothing; the leader is {self.leader}")

    def health(self) -> dict[str, Any]:
        """State for probes: ok, leader or standby, and the last error, free of secrets."""
        return {
            "status": "ok",
            "role": "leader" if self.leads else "standby",
            "leader": self.leader,
            "notice": self.state_notice,
            "last_error": redact(self.last_error or self.scheduler.last_error or self.keeper.last_error or "") or None,
            "error_code": None,
        }

    def acknowledge(self, actor: str) -> None:
        """Say no more of `state_notice`."""
        acknowledge(self.database, actor)
        self.state_notice = None

    def _take_over(self) -> None:
        """What a new leader does first: runs whose process died read "interrupted", what is due fires, and the
        watermarks file is healed."""
        self._try_to(self.run_service.adopt_dead_runs)
        self.run_service.count_untold()
        for leading in (self.scheduler, self.keeper, self.check_keeper, self.coverage_keeper, self.notices):
            leading.start(self._leadership.acting)
        self._try_to(self._learn_grids)
        self._try_to(lambda: self.watermarks.heal(lambda: self.lake.all_marks(list(PROVIDERS)), PROVIDERS))

    def _note_end(self, run_id: int) -> None:
        self.keeper.note_end(run_id)
        self.check_keeper.note_end(run_id)
        self.coverage_keeper.note_end(run_id)

    def _learn_grids(self) -> None:
        series = [one.series for one in stored_series(self.lake)]
        learn_from_stored(series, self.settings.calendars.market_of, self.instruments.store, self.lake)

    def _try_to(self, step: Callable[[], object]) -> None:
        try:
            step()
        except FFEError as error:
            self.last_error = str(error)
            log.exception("taking over the data directory was not complete")


_shared: ConsoleService | None = None
_shared_error: tuple[str, str] | None = None
"""What kept it from being opened, and the code of that."""
_is_over = False
_shared_lock = threading.Lock()


def shared() -> ConsoleService:
    """The one service of this process, opened on first use. Raises StorageError or InputError if it cannot be."""
    global _shared, _shared_error
    with _shared_lock:
        if _shared is None:
            if _is_over:
                raise StorageError("the server is shutting down; reload when it is back")
            try:
                _shared = _opened()
                _shared_error = None
            except (FFEError, InputError) as error:
                _shared_error = redact(str(error)), error.code
                raise
        return _shared


def _opened() -> ConsoleService:
    for sentence in unknown_settings():
        log.warning("%s", sentence)
    try:
        return ConsoleService().open()
    except OSError as error:
        raise StorageError(f"the data directory cannot be used: {why(error)}") from error


def try_shared() -> None:
    """Open the shared service if it can be; the next call of `shared` tries again if not."""
    try:
        shared()
    except (FFEError, InputError) as error:
        log.error("the service cannot be opened (%s); every page says so and tries again", error)


def drain_shared(*, for_good: bool = False) -> None:
    """Drain the shared service, if it was opened; `for_good` when the server ends, so that no page opens it again."""
    global _shared, _is_over
    with _shared_lock:
        _is_over = for_good
        if _shared is not None:
            _shared.drain()
            _shared = None


def shared_health() -> dict[str, Any]:
    """Health of the shared service, also when it could not be opened."""
    if _shared is not None:
        return _shared.health()
    text, code = _shared_error or (None, None)
    return {
        "status": "unavailable",
        "role": None,
        "leader": None,
        "notice": None,
        "last_error": text,
        "error_code": code,
    }
