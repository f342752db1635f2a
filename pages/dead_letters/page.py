"""Dead letters: why records were not stored, and everything that can be done about them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from ffe_core.errors import InputError, sentence
from ffe_core.file_sources import is_file_source
from ffe_core.operations.dead_letters.edits import in_words
from ffe_core.storage.dead_letters.file import DISCARDED, PARTLY_REPLAYED, PENDING
from ffe_core.storage.dead_letters.index import DIMENSIONS, FAILED_AGAIN, NEW, STATUSES, storable
from ffe_core.storage.dead_letters.search import Group, Page, Row, Wanted
from pages.dead_letters.addresses import as_address, listed_rows
from pages.dead_letters.dialogs import Chosen, ask, do, open_dialog
from pages.dead_letters.editor import MOST, editor, put_by, waiting
from pages.dead_letters.record import draw_record
from pages.dead_letters.text import at_fault, bar, reasons, several, status_column, status_of, verbs
from pages.widgets import actor, from_url, keep_in_url, notes, number, one_of, relative, section, service, whole
from pages.widgets.alerts import alert, say_wrong
from pages.widgets.fields import filter_row, is_short
from pages.widgets.frame import heading_row
from pages.widgets.tables import count_column, digest, show_table
from pages.widgets.travel import OF_FILES
from pages.widgets.typed import day
from pages.widgets.url import LONGEST_VALUE
from pages.widgets.verbs import refusable, told

PAGE_SIZE = 50
LONGEST_NAME = 200
ANY = "any"
NAMES = {
    "reason": "Reason",
    "asset_pair": "Pair",
    "timeframe": "Timeframe",
    "provider": "Provider",
    "run": "Run",
    "day": "Day",
}
FIRST = ("reason", "asset_pair")
"""What records are filtered by most."""
PARAMETERS = {"asset_pair": "pair"}
WIDTHS = {
    "Bar (UTC)": 118,
    "Pair": 70,
    "Timeframe": 76,
    "Because": 214,
    "Values": 138,
    "Changed": 68,
    "Provider": 84,
    "Run": 38,
    "Kept": 92,
}
"""Pixels of the columns of records: together what the reference size has room for."""
_MANY_FILES = 500


def wanted() -> Wanted:
    """The filters of the address."""
    given: dict[str, Any] = {
        name: from_url(PARAMETERS.get(name, name), READERS.get(name, str), "") for name in DIMENSIONS
    }
    status = from_url("status", one_of((ANY, *STATUSES, PARTLY_REPLAYED)), PENDING)
    return Wanted(**given, status="" if status == ANY else status, text=from_url("q", str, ""))


def pair_of(text: str) -> str:
    """The stored name that a pair of the address means; itself where several are, or none is, or it cannot be one."""
    try:
        found = service().queue.names_of(text)
    except InputError:
        return text
    return found[0] if len(found) == 1 else text


READERS = {"asset_pair": pair_of}


def set_filter(name: str, value: str | None) -> None:
    """Filter by a value; one that no address has room for stays in its field and filters nothing."""
    is_long = len(value or "") > LONGEST_VALUE
    too_long().pop(name, None)
    if is_long:
        too_long()[name] = str(value)
    keep_in_url(**{PARAMETERS.get(name, name): None if is_long else value, "page": None})


def too_long() -> dict[str, str]:
    """What was typed into a filter, by its name, and is longer than the address bears."""
    kept: dict[str, str] = st.session_state.setdefault("dl_too_long", {})
    return kept


def in_field(name: str, value: str) -> str:
    """What stands in the field of a filter: its value, else what was too long to be one."""
    return value or too_long().get(name, "")


def clear() -> None:
    too_long().clear()
    st.query_params.clear()


# -- the list


def list_view() -> None:
    asked = wanted()
    with heading_row("Dead letters"):
        st.button(
            "Purge",
            key="dl_purge",
            icon=":material/auto_delete:",
            type="tertiary",
            on_click=ask,
            args=("purge", {}),
            disabled=not service().acts,
        )
    notes()
    told()
    with section("The filters"):
        filters(asked)
    with section("The groups"):
        groups(asked)
    with section("The records"):
        records(asked)
    with section("What is quarantined"):
        quarantined()


def filters(asked: Wanted) -> None:
    offered = service().queue.largest([name for name in DIMENSIONS if name != "day"], Wanted(status=asked.status))

    def choose(name: str) -> None:
        value = getattr(asked, name)
        day_field(value) if name == "day" else options(name, value, offered[name])

    filter_row(
        [
            lambda: pick("status", "Status", [ANY, *STATUSES, PARTLY_REPLAYED], asked.status or ANY, lambda one: one),
            *(partial(choose, name) for name in FIRST),
            partial(search, asked.text),
        ],
        [
            (bool(in_field(name, getattr(asked, name))), partial(choose, name))
            for name in DIMENSIONS
            if name not in FIRST
        ],
    )


def search(text: str) -> None:
    st.session_state.dl_q = in_field("q", text)
    st.text_input(
        "Search",
        key="dl_q",
        placeholder="In what was received",
        on_change=lambda: set_filter("q", st.session_state.dl_q),
    )
    is_short(st.session_state.dl_q, LONGEST_VALUE, "NaN")


def day_field(value: str) -> None:
    value = in_field("day", value)
    st.session_state.dl_day = value
    st.text_input("Day kept", key="dl_day", placeholder="2024-01-31", on_change=day_typed)
    say_of(value, day)


def options(name: str, value: str, found: dict[str, int]) -> None:
    """A filter that offers the largest groups, with the number of records of each."""
    value = in_field(name, value)
    known = [text for text in found if text] + ([value] if value and value not in found else [])
    st.session_state[f"dl_{name}"] = value or None
    st.selectbox(
        NAMES[name],
        known,
        index=None,
        key=f"dl_{name}",
        placeholder="Any",
        # There may be more pairs than are offered, and more ways to write one.
        accept_new_options=name == "asset_pair",
        format_func=lambda text: f"{in_words(text) if name == 'reason' else text} · {number(found.get(text, 0))}",
        on_change=lambda: set_filter(name, st.session_state[f"dl_{name}"]),
    )
    if name == "asset_pair":
        say_of(value, service().queue.names_of)


def say_of(value: str, read: Callable[[str], object]) -> None:
    """What is wrong with a typed value, if it cannot be one to filter by."""
    try:
        if value:
            read(value)
    except InputError as error:
        say_wrong(error.problem)


def day_typed() -> None:
    set_filter("day", st.session_state.dl_day.strip())


def pick(name: str, label: str, choices: list[str], value: str, words: Any) -> None:
    st.session_state[f"dl_{name}"] = value
    st.selectbox(
        label,
        choices,
        key=f"dl_{name}",
        format_func=words,
        on_change=lambda: set_filter(name, st.session_state[f"dl_{name}"]),
    )


def groups(asked: Wanted) -> None:
    by = from_url("by", one_of(DIMENSIONS), "reason")
    st.session_state.dl_by = by
    st.segmented_control(
        "Group by",
        DIMENSIONS,
        key="dl_by",
        label_visibility="collapsed",
        format_func=NAMES.__getitem__,
        required=True,
        wrap=True,
        on_change=lambda: keep_in_url(by=st.session_state.dl_by),
    )
    found = service().queue.groups(by, asked)
    if not found:
        return
    st.session_state.dl_group_values = [group.value for group in found]
    show_table(
        [group_row(by, group) for group in found],
        key=f"dl_groups_{by}_{digest([group.value for group in found])}",
        height="content" if len(found) <= 6 else 250,
        on_select=lambda: open_group(by),
        selection_mode="single-cell",
        column_config={
            NAMES[by]: st.column_config.TextColumn(width="large"),
            "Records": count_column(width="small"),
            "Last 30 days": st.column_config.BarChartColumn(y_min=0, width="medium"),
        },
    )
    if asked.text:
        st.caption("The counts leave the search aside.")


def group_row(by: str, group: Group) -> dict[str, Any]:
    value = storable(in_words(group.value)) if by == "reason" else group.value or "not named"
    return {
        NAMES[by]: value,
        "Records": group.count,
        "Last seen": relative(group.last_seen),
        "First seen": relative(group.first_seen),
        "Last 30 days": list(group.trend),
    }


def open_group(by: str) -> None:
    """Narrow the list to the group that was clicked."""
    key = next(name for name in st.session_state if str(name).startswith(f"dl_groups_{by}_"))
    cells = st.session_state[key]["selection"]["cells"]
    if cells:
        set_filter(by, st.session_state.dl_group_values[cells[0][0]])


def records(asked: Wanted) -> None:
    page = max(1, from_url("page", whole, 1))
    found = service().queue.find(asked, PAGE_SIZE, PAGE_SIZE * (min(page, 10**9) - 1))
    if not found.rows:
        nothing(asked, page)
        return
    key = f"dl_records_{digest([(row.batch_id, row.number) for row in found.rows])}"
    st.session_state.dl_rows = [(row.batch_id, row.number) for row in found.rows]
    bar_of_actions = st.container(horizontal=True, vertical_alignment="center")
    with st.container(key="dl_table"):
        show_table(
            [shown(row) for row in found.rows],
            key=key,
            height="content" if len(found.rows) <= 12 else 460,
            on_select=lambda: open_record(key),
            selection_mode=["multi-row", "single-cell"],
            column_config={
                **{name: st.column_config.TextColumn(width=width) for name, width in WIDTHS.items()},
                "Status": status_column(width=108),
            },
        )
    ticked = st.session_state.get(key, {}).get("selection", {}).get("rows", [])
    with bar_of_actions:
        actions(asked, [found.rows[row] for row in ticked if row < len(found.rows)], found)
    pages(page, found)


def shown(row: Row) -> dict[str, Any]:
    return {
        "Bar (UTC)": bar(row.open),
        "Pair": row.asset_pair,
        "Timeframe": row.timeframe,
        "Status": [status_of(row.status, row.attempts)],
        "Because": reasons(row.reasons),
        "Values": at_fault(row.value, row.reasons),
        "Changed": changed(row),
        "Provider": row.provider,
        "Run": row.run,
        "Kept": relative(row.saved_at),
    }


def changed(row: Row) -> str:
    """What has been done with a record since it was kept."""
    done_ = ["edited"] if row.revision else []
    return ", ".join(done_ + ([several(row.attempts, "try", "tries")] if row.attempts else []))


def open_record(key: str) -> None:
    """A clicked cell opens its record; ticked rows stay on the list."""
    cells = st.session_state[key]["selection"]["cells"]
    if cells:
        batch_id, number_ = st.session_state.dl_rows[cells[0][0]]
        first = PAGE_SIZE * (max(1, from_url("page", whole, 1)) - 1)
        keep_in_url(entry=batch_id, record=number_, place=first + cells[0][0] + 1)


def pages(page: int, found: Page) -> None:
    total = found.total
    with st.container(horizontal=True, vertical_alignment="center"):
        told_ = f"{several(total, 'record')}." if total is not None else "More than these match the search."
        st.caption(f"{told_} Click a row to open it; tick rows to act on them.")
        if total is not None and total > PAGE_SIZE:
            last = -(-total // PAGE_SIZE)
            # The address decides: a widget that remembers would show another page than is drawn.
            key = f"dl_page_{page}_of_{last}"
            st.pagination(last, default=min(page, last), key=key, on_change=turn, args=(key,))
        elif total is None:
            st.button(
                "Next", key="dl_next", icon=":material/arrow_forward:", on_click=keep_in_url, kwargs={"page": page + 1}
            )


def turn(key: str) -> None:
    page = st.session_state[key]
    keep_in_url(page=page if page > 1 else None)


def nothing(asked: Wanted, page: int) -> None:
    if page > 1:
        st.info("There are not so many pages.", icon=":material/last_page:")
        st.button("First page", key="dl_first", on_click=set_filter, args=("page", None))
    elif service().queue.count() == 0:
        st.info(
            "No dead letters. A record that breaks a rule is kept here, whole as received, instead of being lost.",
            icon=":material/mark_email_read:",
        )
        st.page_link("backfill/page.py", label="New backfill", icon=":material/download:")
    else:
        st.info("Nothing matches.", icon=":material/filter_alt_off:")
        with st.container(horizontal=True):
            st.button("Clear the filters", key="dl_clear", type="primary", on_click=clear)
            if asked.status:
                st.button("Any status", key="dl_any", on_click=set_filter, args=("status", ANY))


# -- what can be done about them


def actions(asked: Wanted, ticked: list[Row], found: Page) -> None:
    """Buttons over the ticked rows, or over all that match; the list is frozen when one is pressed."""
    count = len(ticked) if ticked else found.total
    scope = f"{number(count)} ticked" if ticked else "All that match" if count is None else f"All {number(count)}"
    st.markdown(f"**{scope}:**")
    locked = not service().acts
    if can_be(PENDING, asked, ticked):
        pending = frozen(asked, ticked, PENDING)
        st.button(
            "Edit", key="dl_mend", icon=":material/edit:", type="primary", on_click=work, args=(pending, bool(ticked))
        )
        of_files = are_of_files(asked, ticked)
        for label, icon, dialog in PENDING_ACTIONS:
            why_not = OF_FILES if dialog == "refetch" and of_files else None
            st.button(
                label,
                key=f"dl_{dialog}",
                icon=icon,
                on_click=ask,
                args=(dialog, pending),
                disabled=locked or why_not is not None,
                help=why_not,
            )
    if can_be(DISCARDED, asked, ticked):
        discarded = frozen(asked, ticked, DISCARDED)
        st.button(
            "Restore",
            key="dl_restore",
            icon=":material/restore_from_trash:",
            on_click=lambda: do(lambda: verbs().restore(discarded(), actor()), then="{:,} pending again."),
            disabled=locked,
        )
    for kind, mime in (("json", "application/json"), ("csv", "text/csv")):
        everything = frozen(asked, ticked, asked.status)
        st.download_button(
            kind.upper(),
            exported(kind, everything),
            f"dead-letters.{kind}",
            mime,
            key=f"dl_export_{kind}",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
        )


PENDING_ACTIONS = (
    ("Replay", ":material/replay:", "replay"),
    ("Ask again", ":material/cloud_sync:", "refetch"),
    ("Discard", ":material/delete:", "discard"),
)


def are_of_files(asked: Wanted, ticked: list[Row]) -> bool:
    """Whether all records that the buttons act on are known to be of imported files."""
    providers = (
        {row.provider for row in ticked} if ticked else set(service().queue.largest(["provider"], asked)["provider"])
    )
    return bool(providers) and all(map(is_file_source, providers))


def can_be(status: str, asked: Wanted, ticked: list[Row]) -> bool:
    """Whether records of this status can be among those that the buttons act on."""
    if ticked:
        return any(row.status == status for row in ticked)
    return asked.status in ("", PARTLY_REPLAYED, status) or (status == PENDING and asked.status in (NEW, FAILED_AGAIN))


def frozen(asked: Wanted, ticked: list[Row], status: str) -> Callable[[], Chosen]:
    """What gives the list when a button is pressed: the ticked rows, or all that match then, of this status."""

    def chosen() -> Chosen:
        if not ticked:
            narrow = asked.status in ("", PARTLY_REPLAYED) and status
            return service().queue.select(replace(asked, status=status) if narrow else asked)
        found: dict[str, tuple[int, ...]] = {}
        for row in ticked:
            if status in ("", PARTLY_REPLAYED) or row.status == status or status in (NEW, FAILED_AGAIN):
                found[row.batch_id] = (*found.get(row.batch_id, ()), row.number)
        return found

    return chosen


def exported(kind: str, chosen: Callable[[], Chosen]) -> Callable[[], str]:
    return lambda: (verbs().export_json if kind == "json" else verbs().export_csv)(chosen())


def quarantined() -> None:
    found = service().queue.quarantined()
    if not found:
        return
    with st.expander(f"{several(len(found), 'file')} quarantined", icon=":material/folder_off:", key="dl_set_aside"):
        st.caption(
            "They lie in the folder and are no dead letters. They stay where they are; nothing else is affected."
        )
        show_table(
            [{"File": item.name[:200], "Why": item.reason} for item in found],
            height="content" if len(found) <= 10 else 300,
            column_config={"Why": st.column_config.TextColumn(width="large")},
        )


# -- many at once


def work(chosen: Callable[[], Chosen], ticked: bool) -> None:
    """Go to the editor with a list that is frozen now; why there is none is told on the page.

    Ticked rows are named in the address, all that match by their filters, so that it can be sent on.
    """
    with refusable():
        frozen = chosen()
        put_by()
        rows = as_address(frozen) if ticked else None
        st.session_state.dl_work = rows, frozen
        keep_in_url(view="mend", rows=rows)


def work_list() -> Chosen:
    """The list to edit: the one that was frozen, else, for who came by its address, what that names."""
    rows = st.query_params.get("rows")
    if st.session_state.get("dl_work", ("", {}))[0] != rows:
        none: Chosen = {}
        named = from_url("rows", listed_rows, none) if rows else frozen(wanted(), [], PENDING)()
        st.session_state.dl_work = rows, named
    chosen: Chosen = st.session_state.dl_work[1]
    return chosen


def work_view() -> None:
    chosen = work_list()
    with st.container(horizontal=True, vertical_alignment="center"):
        back()
    notes()
    told()
    if not chosen:
        st.info("The list of records to edit is gone; choose them again.", icon=":material/checklist:")
        return
    count = sum(map(len, chosen.values()))
    place = st.container()
    st.subheader(f"Edit {several(count, 'record')}", anchor=False)
    if count > MOST:
        st.warning(
            f"The first {number(MOST)} are shown. Edit and replay them, then choose again.",
            icon=":material/filter_list:",
        )
    with section("The editor"):
        editor(chosen)
    with place:
        unsaved()


def back() -> None:
    st.title("Dead letters", width="content", anchor=False)
    st.button("Back to the list", key="dl_back", icon=":material/arrow_back:", type="tertiary", on_click=leave)


def unsaved() -> None:
    """That edits wait on other records than those shown."""
    if count := waiting():
        st.caption(
            f":material/edit_note: {several(count, 'record')} left with edits that are not saved: open"
            f" {'it' if count == 1 else 'them'} again to go on."
        )


def leave() -> None:
    put_by()
    keep_in_url(view=None, rows=None, entry=None, record=None, place=None)


# -- one record


def record_view(batch_id: str) -> None:
    head = st.container(horizontal=True, vertical_alignment="center")
    with head:
        back()
    notes()
    told()
    place = st.container()
    try:
        batch = service().queue.read(batch_id)
    except InputError as error:
        alert("info", "There is no such dead letter:", [storable(sentence(error))], ":material/search_off:")
        return
    last = len(batch.records) - 1
    shown_ = min(max(0, from_url("record", whole, 0)), last)
    with head, section("The list it is from"):
        walk(batch_id, shown_)
    draw_record(batch, shown_)
    with place:
        unsaved()


def walk(batch_id: str, number_: int) -> None:
    """Steps to the neighbours of a record: in the filtered list it was opened from, else in its batch.

    What was done with it may have taken it off that list; its neighbours are those of its place then.
    """
    place = from_url("place", whole, 0)
    asked = wanted() if place else Wanted(batch=batch_id)
    at = (place or number_ + 1) - 1
    first = max(0, at - 1)
    found = service().queue.find(asked, 3, first)
    here = next((n for n, row in enumerate(found.rows) if (row.batch_id, row.number) == (batch_id, number_)), None)
    before = at - 1 - first if here is None else here - 1
    after = at - first if here is None else here + 1
    st.space("stretch")
    if here is not None:
        st.caption(f"{number(first + here + 1)} of {'many' if found.total is None else number(found.total)}")
    else:
        st.caption(f"Was number {number(at + 1)}; the list has changed")
    step("Previous", "dl_previous", ":material/chevron_left:", found.rows, before, first)
    step("Next", "dl_following", ":material/chevron_right:", found.rows, after, first)


def step(label: str, key: str, icon: str, rows: list[Row], to: int, first: int) -> None:
    """A button to one of the rows, of which the first has the place `first` on the list."""
    there = rows[to] if 0 <= to < len(rows) else None
    address = {"entry": there.batch_id, "record": there.number, "place": first + to + 1} if there else {}
    st.button(label, key=key, icon=icon, type="tertiary", on_click=open_step, kwargs=address, disabled=there is None)


def open_step(**address: str | int) -> None:
    put_by()
    keep_in_url(**address)


def refresh() -> None:
    """Take in what changed in the folder; a first look at many files shows how far it is."""
    place = st.empty()

    def progress(done: int, total: int) -> None:
        if total > _MANY_FILES:
            place.progress(done / total, f"Reading dead letter files: {number(done)} of {number(total)}")

    service().queue.refresh(progress)
    place.empty()


with section("The dead letters"):
    refresh()
    if "entry" in st.query_params:
        record_view(st.query_params["entry"][:LONGEST_NAME])
    elif st.query_params.get("view") == "mend":
        work_view()
    else:
        list_view()
    open_dialog()
