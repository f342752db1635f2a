"""Does an analyst come from the Overview's open findings to the evidence and to a decision, in five clicks?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ffe_core.operations.checks.service import Checks
from ffe_core.operations.runs.service import RunService
from ffe_core.settings import Settings
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.findings import ACCEPTED, FindingRow, FindingStore
from tests.browser.conftest import Serve, Visit
from tests.pages.test_findings_page import spiked

MOST_CLICKS = 5


@pytest.fixture
def checked(tmp_path: Path) -> Path:
    """A data directory with three open findings."""
    folder = tmp_path / "data"

    def fill() -> None:
        settings = Settings.load({"data_dir": str(folder)})
        database = Database(folder / DATABASE_FILE)
        service = RunService(settings, database)
        try:
            spiked(service)  # type: ignore[arg-type]  # it has a lake
            service.wait(Checks(service).start("ann"), 60)
        finally:
            service.close()
            database.close()

    # In a thread of its own: Playwright's event loop runs in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(fill).result()
    return folder


def rows(folder: Path) -> list[FindingRow]:
    return FindingStore(Database(folder / DATABASE_FILE)).find()


def test_from_the_overview_to_a_decision_in_five_clicks(serve: Serve, visit: Visit, checked: Path) -> None:
    server = serve(checked)
    visitor = visit(server)
    visitor.sees("open findings")
    visitor.follow("Look at the evidence")
    visitor.sees("outside its neighbours")
    visitor.page.locator(".js-plotly-plot").first.wait_for()
    visitor.click("finding_accept")
    visitor.sees_dialog("It stays accepted until one of its bars changes.")
    visitor.at("finding_reason").locator("input").fill("a halt, seen on the tape")
    visitor.click("finding_accept_yes")
    visitor.sees("Accepted, until its bars change.")
    assert visitor.clicks <= MOST_CLICKS
    accepted = [row for row in rows(checked) if row.state == ACCEPTED]
    assert [(row.kind, row.reason) for row in accepted] == [("spike", "a halt, seen on the tape")]
    assert not server.tracebacks
