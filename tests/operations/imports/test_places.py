"""Is a file of the server read only where somebody allowed it?"""

from __future__ import annotations

from pathlib import Path

import pytest

from ffe_core.errors import InputError
from ffe_core.operations.imports.places import check_place
from ffe_core.settings import Settings


def settings(*folders: Path) -> Settings:
    return Settings.load({"files": {"folders": [str(one) for one in folders]}})


def test_on_a_machine_of_ones_own_any_file_may_be_read(tmp_path: Path) -> None:
    check_place(str(tmp_path / "a.csv"), settings(), is_shared=False)


def test_where_others_reach_the_console_none_is_read_until_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="until FFE_FILES__FOLDERS names some"):
        check_place(str(tmp_path), settings(), is_shared=True)
    check_place(str(tmp_path / "b" / "c.csv"), settings(tmp_path), is_shared=True)


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("path", ["outside.csv", "in/../outside.csv", "in/link", "inside"])
def test_what_lies_elsewhere_is_refused_however_it_is_written(tmp_path: Path, path: str, is_shared: bool) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "outside.csv").write_text("x")
    (inside / "link").symlink_to(tmp_path / "outside.csv")
    with pytest.raises(InputError, match="lies below none of the folders"):
        check_place(str(tmp_path / path), settings(inside), is_shared=is_shared)


def test_a_folder_is_named_whole() -> None:
    with pytest.raises(InputError, match=r"FFE_FILES__FOLDERS.*no whole path"):
        settings(Path("klines"))
