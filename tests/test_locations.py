"""Is a folder read once and the same by everything, and is what some library would read differently refused by name?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ffe_core.cli.common import run_service
from ffe_core.errors import InputError
from ffe_core.locations import data_folder, lake_address, local_folder
from ffe_core.operations.runs.service import BackfillRequest
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

WORKING = [
    "~",
    "what?now",
    "50%",
    "a#b",
    "a*",
    " padded ",
    "it's",
    'say "so"',
    "a:b",
    "a;b&c=d+e",
    "{b}$x<y>@`",
    "Kerzen für März 日本 e\u0301😀",
]
REFUSED_FOR_A_LAKE = ["[old]", "old]", "a|b", "a^b", "back\\slash", "p%41", "50%25"]
BTC = Series("BTCUSD", "1h", "simulated")
DAY = (1_704_067_200, 1_704_153_600)
REFUSED = ["new\nline", "a\tb", "a\x00b", "a\x7fb", "line\u2028end", "\udcff"]


def backfilled(place: str) -> dict[str, Any]:
    """What became of a day of bars, some of them broken, in the data directory spelled like this."""
    settings = Settings.load({"data_dir": place, "simulated": {"broken_records": 0.2}})
    with run_service(settings) as service:
        request = BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], "2024-01-01", "2024-01-01")
        run_id = service.start(request, "ann")
        service.wait(run_id, 60)
        return dict(service.runs.series(run_id)[0].result or {})


@pytest.mark.parametrize("name", WORKING)
def test_everything_of_a_backfill_lies_in_the_one_folder_that_was_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    first = backfilled(str(folder))
    assert (first["status"], first["stored"] + first["dead_lettered"], first["unexplained"]) == ("success", 24, 0)
    again = backfilled(folder.as_uri())
    assert (again["status"], again["stored"], again["dead_lettered"]) == (
        "no_data",
        first["stored"],
        first["dead_lettered"],
    )
    assert len(DeltaLakeManager(folder / "lake").current(BTC, *DAY)) == first["stored"]
    assert os.listdir(tmp_path) == [name]
    assert {"lake", "watermarks", "console.db", "dlq", "locks"} <= set(os.listdir(folder))


@pytest.mark.parametrize("name", REFUSED_FOR_A_LAKE)
def test_a_folder_that_delta_would_misread_is_refused_naming_the_setting_that_named_it(tmp_path: Path, name: str):
    with pytest.raises(InputError, match=r"^FFE_DATA_DIR: Delta tables cannot lie in .*name a folder without"):
        Settings.load({"data_dir": str(tmp_path / name)})
    with pytest.raises(InputError, match=r"^FFE_LAKE_URI: "):
        Settings.load({"lake_uri": str(tmp_path / name)})
    with pytest.raises(InputError, match=r"^storage_path: "):
        DeltaLakeManager(tmp_path / name)
    assert Settings.load({"data_dir": str(tmp_path / name), "lake_uri": str(tmp_path / "lake")})


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_cannot_be_printed_is_refused_in_one_printable_line(tmp_path: Path, name: str) -> None:
    for setting in ("data_dir", "lake_uri"):
        with pytest.raises(InputError, match=rf"^FFE_{setting.upper()}: ") as caught:
            Settings.load({setting: f"{tmp_path}/{name}"})
        assert str(caught.value).isprintable()


def test_every_spelling_of_a_folder_is_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "da ta"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    spellings = ["da ta", "./da ta/", "~/da ta", "link", "link/../da ta", f"{folder}//", folder.as_uri(), folder]
    assert {data_folder(spelling) for spelling in spellings} == {folder}
    assert {lake_address(spelling) for spelling in spellings} == {str(folder)}
    assert {Settings.load({"data_dir": spelling}).lake_uri for spelling in spellings} == {str(folder / "lake")}


def test_a_relative_folder_stays_where_it_was_when_the_process_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    settings, lake = Settings.load({"data_dir": "data"}), DeltaLakeManager("data/lake")
    monkeypatch.chdir("/")
    assert settings.data_dir == tmp_path / "data"
    assert lake.storage_path == settings.lake_uri == str(tmp_path / "data" / "lake")


def test_a_folder_that_is_really_called_tilde_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert data_folder("./~") == tmp_path / "~"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("~nobody-of-this-name/data", "leads nowhere"),
        ("s3://bucket/data", "no local folder"),
        ("file://elsewhere/data", "another machine"),
        ("file:data", "another machine"),
        ("file:///data?x=1", "neither . nor #"),
        ("file:///a%0Ab", "cannot be printed"),
        ("s3:/bucket/data", "one slash after s3:"),
        ("/tmp/" + "x" * 300, "leads nowhere .File name too long."),
        ("/tmp" + "/x" * 3_000, "leads nowhere .File name too long."),
    ],
)
def test_a_data_directory_that_cannot_be_is_refused(place: str, why: str) -> None:
    with pytest.raises(InputError, match=rf"^FFE_DATA_DIR: .*{why}"):
        Settings.load({"data_dir": place})


def test_a_folder_whose_name_begins_like_a_uri_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert data_folder("./s3:/data") == tmp_path / "s3:" / "data"


def test_a_circle_of_links_leads_nowhere_and_a_link_to_what_is_not_there_yet_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    for place, setting in ((tmp_path / "one", "data_dir"), (tmp_path / "one" / "lake", "lake_uri")):
        with pytest.raises(InputError, match=rf"^FFE_{setting.upper()}: .* leads nowhere"):
            Settings.load({setting: place})
    (tmp_path / "link").symlink_to(tmp_path / "later")
    assert data_folder(tmp_path / "link") == tmp_path / "later"


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(InputError, match=r"^FFE_DATA_DIR: .* is a file"):
        Settings.load({"data_dir": tmp_path / "data"})


@pytest.mark.parametrize("uri", ["s3://bucket/lake", "gs://b/a/lake", "abfss://box@account.dfs.core.windows.net/lake"])
def test_a_lake_may_lie_in_an_object_store(uri: str) -> None:
    assert Settings.load({"lake_uri": f"{uri}/"}).lake_uri == uri
    assert local_folder(uri) is None


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("ftp://host/lake", "no place for a lake"),
        ("s3://", "names no bucket"),
        ("s3://buck et/lake", "names no bucket"),
        ("s3://bucket//lake", "names no bucket"),
        ("s3://bucket/lake?versionId=1", "neither . nor #"),
        ("s3://[bucket/lake", "no address"),
    ],
)
def test_a_lake_uri_that_cannot_be_is_refused(uri: str, why: str) -> None:
    with pytest.raises(InputError, match=rf"^FFE_LAKE_URI: .*{why}"):
        Settings.load({"lake_uri": uri})


def test_credentials_in_a_lake_uri_are_refused_and_not_shown() -> None:
    with pytest.raises(InputError, match=r"^FFE_LAKE_URI: credentials") as caught:
        Settings.load({"lake_uri": "s3://key:s3cret@bucket/lake"})
    assert "s3cret" not in str(caught.value)
