"""Import: name files, see how they are read, answer what they leave open, start."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ffe_core.errors import InputError
from ffe_core.file_sources import checked_source
from ffe_core.files.pairs import file_pair
from ffe_core.files.plan import ImportPlan, Target
from ffe_core.operations.imports.options import names_say, request_of
from ffe_core.operations.imports.places import check_place
from ffe_core.operations.imports.request import ImportRequest
from ffe_core.operations.imports.service import Imports, planned, profiles_of, save_profile
from ffe_core.operations.imports.uploads import Uploads
from ffe_core.storage.state.imported_files import ImportedFiles
from ffe_core.timeframes import TIMEFRAMES
from pages.import_files.found import show_imported, show_looks, show_plan
from pages.import_files.options import ask, fields, fill_in, forget, given, in_address
from pages.import_files.upload import upload_field
from pages.server.settings import is_shared
from pages.widgets import actor, arrived, from_url, go, keep_in_url, notes, one_of, plain, section, service
from pages.widgets.alerts import say_wrong
from pages.widgets.fields import words_fit
from pages.widgets.frame import heading
from pages.widgets.looking import looking
from pages.widgets.verbs import NotAsShown, changing, done, refusable, told

SHOWN_FILES = 50


def path() -> str:
    return str(st.session_state.get("import_path") or "").strip()


def paths() -> tuple[str, ...]:
    """What is to be imported: files that were uploaded, or what is named on the server. InputError if it cannot be."""
    if token := st.session_state.get("import_upload"):
        return tuple(map(str, Uploads(service().settings).files(token)))
    if path():
        check_place(path(), service().settings, is_shared=is_shared())
    return (path(),) if path() else ()


def there() -> None:
    """InputError if what is named on the server cannot be imported from, or is not there."""
    for name in paths():
        try:
            is_there = Path(name).expanduser().exists()
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"{name[:200]!r} cannot be looked at; give a path like /data/klines") from error
        if not is_there:
            raise InputError(f"{name[:200]} is not there; name files or folders of this computer")


@refusable()
def other_files() -> None:
    """Begin anew with other files: pair and timeframe as their names say."""
    forget()
    st.session_state.import_pair, st.session_state.import_timeframe = "", None
    try:
        named = paths()
        pair, timeframe = names_say(named, profiles_of(service().settings)) if named else ("", "")
    except InputError:
        return  # it is told at the field
    st.session_state.import_pair, st.session_state.import_timeframe = pair, timeframe or None


def prefill() -> None:
    """Put what the address asks for into the form, when somebody comes by it with something."""
    state = st.session_state
    if not arrived("import_path") or not st.query_params:
        return
    state.import_upload = from_url("upload", uploaded, "")
    state.import_path = from_url("path", str, "")
    state.import_source = from_url("source", str, "")
    state.import_pair = from_url("pair", str, "")
    state.import_timeframe = from_url("timeframe", one_of(TIMEFRAMES), None)
    fill_in()


def uploaded(token: str) -> str:
    """An upload that is there. InputError for another."""
    Uploads(service().settings).files(token)
    return token


def remember() -> None:
    """Keep the form in the address, so that it can be sent on and outlives a reload."""
    state = st.session_state
    keep_in_url(
        upload=state.get("import_upload"),
        path=path(),
        source=state.get("import_source"),
        pair=state.get("import_pair"),
        timeframe=state.get("import_timeframe"),
        **in_address(),
    )


def files_form() -> tuple[dict[str, DeltaGenerator], bool]:
    """What to import, and where it goes; returns the places, by field, to tell what is wrong with them, and whether
    something is told there already."""
    places = {}
    upload_field(other_files)
    at_upload = st.container()
    st.text_input(
        "Or a file or folder on the server",
        key="import_path",
        placeholder="/data/klines",
        on_change=other_files,
        disabled=bool(st.session_state.get("import_upload")),
        help="Folders with all below them.",
    )
    at_path = st.container()
    places["files"] = at_upload if st.session_state.get("import_upload") else at_path
    wrong = answer(places["files"], there)
    first, second, third = st.columns([1, 1, 2])
    with first:
        source = st.text_input("Source", key="import_source", placeholder="files:binance") or ""
        wrong |= answer(st.container(), lambda: checked_source(source) if source.strip() else None)
    with second:
        pair = st.text_input("Pair", key="import_pair", placeholder="As the files' names say") or ""
        wrong |= answer(st.container(), lambda: file_pair(pair.strip(), source) if pair.strip() else None)
    with third:
        st.pills("Timeframe", list(TIMEFRAMES), key="import_timeframe", wrap=True)
    places["as"] = st.container()
    return places, wrong


def tell(place: DeltaGenerator, wrong: InputError) -> None:
    """Say what is wrong with a field, below it."""
    with place:
        say_wrong(wrong.problem)


def answer(place: DeltaGenerator, read: Callable[[], object]) -> bool:
    """Say below a field what is wrong with what stands in it, whatever the other fields hold; whether anything is."""
    try:
        read()
    except InputError as error:
        tell(place, error)
        return True
    return False


def request() -> ImportRequest | None:
    """What is asked for; None while something of it is missing. InputError for what cannot be."""
    state = st.session_state
    named = paths()
    if not named or not (state.get("import_source") or "").strip():
        return None
    target = Target.at(state.import_source, (state.import_pair or "").strip(), state.import_timeframe or "")
    return request_of(named, target, given())


def look(asked_for: ImportRequest) -> ImportPlan:
    """The plan of the request, made once: it is what is shown, and what is started."""
    held = st.session_state.get("import_shown")
    if held is not None and held[0] == asked_for:
        plan: ImportPlan = held[1]
        return plan
    st.session_state.pop("import_shown", None)
    with looking() as progress:
        plan = planned(asked_for, service().settings, progress)
    st.session_state.import_shown = asked_for, plan
    return plan


def look_again() -> None:
    st.session_state.pop("import_shown", None)


@changing()
def start() -> None:
    """Import what was looked at, and go to the run; what was changed since is shown first."""
    held, asked_for = st.session_state.get("import_shown"), request()
    if held is None or asked_for is None or held[0] != asked_for:
        raise NotAsShown("nothing was started: what you ask for has changed. Look at it, then start it")
    run_id = Imports(service().run_service).start(held[1], asked_for, actor())
    for name in ("import_shown", "import_upload"):
        st.session_state.pop(name, None)
    forget()
    go("run", id=str(run_id))


@changing()
def keep_profile() -> None:
    held = st.session_state.get("import_shown")
    if held is None or not held[1].looks or held[1].questions:
        raise InputError("nothing was kept: answer first what is asked")
    name = st.session_state.import_profile_name.strip()
    save_profile(service().settings, name, held[1].looks[0].profile)
    done(f"Kept as profile {name}.")


def buttons(plan: ImportPlan | None, missing: str) -> None:
    """Start, look again and keep, with what is in the way of it."""
    if not service().acts:
        missing = "this console is a standby"
    elif plan is not None and plan.questions:
        missing = "answer first what is asked"
    elif plan is not None and not plan.files:
        missing = "no file holds a row that can be read"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Import",
            key="import_start",
            type="primary",
            icon=":material/play_arrow:",
            on_click=start,
            disabled=bool(missing),
        )
        st.button(
            "Look again", key="import_again", icon=":material/refresh:", on_click=look_again, disabled=plan is None
        )
        with st.popover("Keep as profile", icon=":material/bookmark_add:", key="import_keep"):
            fits = words_fit("Name", "import_profile_name", 60, "my-broker", placeholder="my-broker")
            st.button("Keep", key="import_profile_keep", on_click=keep_profile, disabled=bool(missing) or not fits)
        if missing:
            st.caption(f"Not yet: {plain(missing)}.")
    told()


def planned_now(places: dict[str, DeltaGenerator], is_told: bool) -> tuple[ImportPlan | None, str]:
    """The plan, and what is missing for one; what is wrong is told at its field."""
    try:
        asked_for = request()
        if asked_for is None and is_told:
            return None, "mend what is marked"
        if asked_for is None:
            return None, "name the source, such as files:binance" if paths() else "name the files"
        return look(asked_for), ""
    except InputError as error:
        if not is_told:
            tell(places.get(error.field or "", places["as"]), error)
        return None, "mend what is marked"


heading("Import files")
prefill()
notes()
with section("The form"):
    shown, lacking = planned_now(*files_form())
    remember()
    if shown is not None and shown.questions:
        ask(shown)
    fields(shown, shown is not None and any(question.code == "columns" for _, question in shown.questions))
    if shown is not None:
        with section("The files"):
            show_plan(shown)
            show_looks(shown)
    buttons(shown, lacking)
with section("The imported files"):
    show_imported(ImportedFiles(service().database).recent(SHOWN_FILES))
