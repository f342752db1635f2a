"""Does every page draw a data directory that release 0.1.0 left?"""

from __future__ import annotations

import pytest

from ffe_core.operations import console as service
from tests.pages.conftest import PAGES, Open, words
from tests.storage.state.releases import expected, unpacked

pytestmark = [
    pytest.mark.slow,
    pytest.mark.of_a_state_file("that release left one"),
    pytest.mark.of_a_lake_folder("that release left one"),
]


@pytest.mark.parametrize("page", PAGES)
def test_it_is_drawn(page: str, data_dir, open_page: Open):
    unpacked(data_dir.parent)
    at = open_page(page, **({"id": "4"} if page == "run" else {}))
    assert not at.exception
    assert not [error.value for error in at.error]
    assert "cannot be used" not in words(at)
    assert service.shared_health()["status"] == "ok"
    assert service.shared_health()["notice"] is None


def test_a_run_of_then_says_why_it_failed(data_dir, open_page: Open):
    unpacked(data_dir.parent)
    (failed,) = [row for row in expected()["tables"]["run_series"] if row["run_id"] == 4 and row["state"] == "failed"]
    why = failed["error"].split(": ", 1)[1].split(";")[0]
    assert why in words(open_page("run", id="4"))
