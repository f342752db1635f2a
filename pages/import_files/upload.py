"""Upload of candle files in the browser: they are written down as soon as they have come, and held no longer."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from ffe_core.errors import InputError
from ffe_core.operations.imports.uploads import KEPT_SECONDS, MOST_MB, Uploads
from ffe_core.storage.lake.upkeep.disk import size_text
from pages.server.uploads import forget
from pages.widgets import many, plain, service
from pages.widgets.alerts import say_wrong
from pages.widgets.verbs import changing

_MOST_NAMED = 5


def upload_field(changed: Callable[[], object]) -> None:
    """Draw the field, or what was uploaded; `changed` is called when that is something else."""
    if token := st.session_state.get("import_upload"):
        with st.container(horizontal=True, vertical_alignment="center"):
            _uploaded(token, changed)
        return
    st.file_uploader(
        "Files from this computer",
        accept_multiple_files=True,
        key=_key(),
        on_change=_keep,
        args=(changed,),
        max_upload_size=MOST_MB,
        help="CSV, TSV, JSON, parquet, feather, DBN, bi5; also in zip, gz, zst and tar. What is larger is named below.",
    )


def _uploaded(token: str, changed: Callable[[], object]) -> None:
    try:
        files = Uploads(service().settings).files(token)
    except InputError as error:
        say_wrong(error.problem)
    else:
        size = sum(path.stat().st_size for path in files)
        more = f" and {many(len(files) - _MOST_NAMED, 'other file')}" if len(files) > _MOST_NAMED else ""
        names = ", ".join(path.name for path in files[:_MOST_NAMED])
        st.markdown(f":material/draft: {plain(names)}{more}, {plain(size_text(size))}")
        st.caption(f"Kept here until it is imported, or for {KEPT_SECONDS // 3600} hours.")
    st.button("Remove", key="import_upload_remove", icon=":material/close:", on_click=_remove, args=(changed,))


def _key() -> str:
    """Of an empty field: a new one after each upload, as a field cannot be emptied."""
    return f"import_drop_{st.session_state.get('import_uploads', 0)}"


def _keep(changed: Callable[[], object]) -> None:
    state = st.session_state
    files = state.get(_key())
    if not files:
        return
    state.import_uploads = state.get("import_uploads", 0) + 1
    with changing():
        state.import_upload = Uploads(service().settings).keep([(file.name, file) for file in files])
        state.import_path = ""
        changed()
    for file in files:
        forget(file)


def _remove(changed: Callable[[], object]) -> None:
    with changing():
        Uploads(service().settings).remove(st.session_state.pop("import_upload", ""))
        changed()
