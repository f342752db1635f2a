"""Places on the server that people at the console may have read: what a file holds is shown to them."""

from __future__ import annotations

from pathlib import Path

from ffe_core.errors import InputError
from ffe_core.settings import Settings, variable

_FOLDERS = variable("files", "folders")


def check_place(path: str, settings: Settings, *, is_shared: bool) -> None:
    """InputError for a path that lies below none of the folders named for it, links followed.

    `is_shared` says that others than this machine can reach the console: without a named folder it reads none then, as
    its log-in is not one to the server's files.
    """
    folders = settings.files.folders
    if not folders and not is_shared:
        return
    if not folders:
        raise InputError(
            f"others can reach this console, so it reads no folder of the server until {_FOLDERS} names some, for"
            ' example ["/data/klines"]',
            field="files",
        )
    place = Path(path).expanduser().resolve()
    if not any(place.is_relative_to(folder.resolve()) for folder in folders):
        raise InputError(
            f"{path} lies below none of the folders that {_FOLDERS} names: {', '.join(map(str, folders))}",
            field="files",
        )
