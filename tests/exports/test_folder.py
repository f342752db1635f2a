"""Folder of an export: whole or not at all, and never over what is there."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ffe_core.errors import InputError, StorageError
from ffe_core.exports import folder as folders
from ffe_core.exports.folder import staged


def write(target: Path, *names: str, text: str = "new", replace: bool = False) -> None:
    with staged(target, replace=replace) as stage:
        for name in names:
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            (stage / name).write_text(text)


def held(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_new_folder_and_one_that_holds_others_get_all_files(tmp_path: Path) -> None:
    write(tmp_path / "a" / "out", "x", "sub/y")
    assert held(tmp_path) == {"a/out/x": "new", "a/out/sub/y": "new"}
    write(tmp_path / "a" / "out", "z", "sub/w")
    assert sorted(held(tmp_path / "a" / "out")) == ["sub/w", "sub/y", "x", "z"]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with staged(tmp_path / "out", replace=False) as stage:
            (stage / "x").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_written_over_unless_that_is_said(tmp_path: Path) -> None:
    write(tmp_path / "out", "x", text="old")
    with pytest.raises(InputError, match=r"out holds x already; nothing was written: choose another folder"):
        write(tmp_path / "out", "a", "x")
    assert held(tmp_path) == {"out/x": "old"}
    write(tmp_path / "out", "a", "x", replace=True)
    assert held(tmp_path) == {"out/a": "new", "out/x": "new"}


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_comes_in_between_is_kept_and_what_was_moved_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    write(tmp_path / "out", "other", text="old")
    link = os.link

    def slow(source: Path, target: Path) -> None:
        if Path(target).name == "b":
            (tmp_path / "out" / "b").write_text("theirs")
        if not has_links:
            raise OSError(errno.EPERM, "no links here")
        link(source, target)

    monkeypatch.setattr(os, "link", slow)
    with pytest.raises(InputError, match="holds b already"):
        write(tmp_path / "out", "a", "b")
    assert held(tmp_path) == {"out/other": "old", "out/b": "theirs"}


def test_what_is_no_folder_or_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; name a folder"):
        write(tmp_path / "file", "x")
    with pytest.raises(StorageError, match="cannot be written"):
        write(tmp_path / "file" / "below", "x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is a link to nothing"):
        write(tmp_path / "link", "x")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    write(tmp_path / "out", "x")
    monkeypatch.setattr(folders, "_put", full)
    with pytest.raises(StorageError, match="cannot be written"):
        write(tmp_path / "out", "y")
    assert held(tmp_path / "out") == {"x": "new"}


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.exports.test_folder import write
from ffe_core.exports import folder

moves, killed_at = [], int(sys.argv[3])
def moved(real):
    def move(*given):
        moves.append(1)
        if len(moves) == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)
    return move
os.link, os.replace = moved(os.link), moved(os.replace)
if killed_at == 0:
    folder._carry_out = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
write(Path(sys.argv[1]), "a", "b", "sub/c", replace=sys.argv[2] == "replace")
"""


def killed(target: Path, how: str, at: int) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(target), how, str(at)], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("at", [0, 1, 2, 3])
@pytest.mark.parametrize("how", ["add", "replace"])
def test_what_a_killed_export_had_ready_is_moved_by_the_next(tmp_path: Path, how: str, at: int) -> None:
    out = tmp_path / "out"
    write(out, "other", *(["b"] if how == "replace" else []), text="old")
    killed(out, how, at)
    write(out, "later")
    assert held(tmp_path) == {
        "out/other": "old", "out/a": "new", "out/b": "new", "out/sub/c": "new", "out/later": "new",
    }  # fmt: skip


def test_what_a_killed_export_moved_is_taken_back_where_another_file_came(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "other", text="old")
    killed(out, "add", 2)
    (out / "b").write_text("theirs")
    write(out, "later")
    assert held(tmp_path) == {"out/other": "old", "out/b": "theirs", "out/later": "new"}


def test_an_export_that_is_moving_its_files_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "other", text="old")
    killed(out, "add", 2)
    [moving] = tmp_path.glob("*.moving")
    with folders._held(moving):
        write(out, "later")
        assert moving.is_dir()
    assert sorted(held(out)) == ["a", "later", "other"]


@pytest.mark.parametrize(
    ("mine", "other"), [("btc", "btc.2024"), ("b" * 100 + "1", "b" * 100 + "2"), ("btc", f"btc.{'0' * 12}")]
)
def test_what_a_killed_export_to_another_folder_had_ready_is_left_to_it(tmp_path: Path, mine: str, other: str) -> None:
    write(tmp_path / other, "other", text="old")
    killed(tmp_path / other, "add", 0)
    write(tmp_path / mine, "later")
    assert held(tmp_path / mine) == {"later": "new"}
    write(tmp_path / other, "again")
    assert sorted(held(tmp_path / other)) == ["a", "again", "b", "other", "sub/c"]
