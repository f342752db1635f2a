"""Does a page that has something to show ask for all of Streamlit's files while it starts, none once it is sent?"""

from __future__ import annotations

from pathlib import Path

from tests.browser.conftest import Serve, Visit
from tests.browser.driver import settled
from tests.browser.screenshots import address_of, pages

TABLE_LAST = "candles"
"""Its chart comes first, and the table below it when that is there."""
WELL = "/run?id=1"
"""A run that failed shows its errors as code, which few pages have."""
_LATE = """async () => {
    const head = await (await fetch(location.href, {headers: {accept: 'text/html'}})).text();
    const asked = performance.getEntriesByType('resource').map(({name}) => name.split('/static/js/')[1]);
    return asked.filter(name => name && !head.includes(name)).map(name => name.split('.')[0]);
}"""


def test_a_page_asks_for_no_file_of_streamlits_once_it_is_sent(serve: Serve, visit: Visit, full: Path) -> None:
    server = serve(full)
    late = {}
    for page in [page for page in pages() if page != TABLE_LAST]:
        visitor = visit(server, WELL if page == "run" else address_of(page, "full"))
        settled(visitor.page)
        late[page] = visitor.page.evaluate(_LATE)
        visitor.close()
    assert {page: names for page, names in late.items() if names} == {}
