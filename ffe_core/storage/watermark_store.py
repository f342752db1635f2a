"""The readable copy of the watermarks: watermarks.json, one entry a series, healed from the Delta log.

The log is the truth; this file is what people and pages read. Every change is read-modify-write under a file lock,
written beside and renamed. A corrupt file is quarantined and rebuilt, never a crash; one that a newer release wrote is
refused and left alone. Beside the series stands the version of the format, which release 0.1.0 did not write yet.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ffe_core import times
from ffe_core.errors import InputError, NewerFormatError, StorageError
from ffe_core.instruments.names import normalize_pair
from ffe_core.series import Series, Watermarks
from ffe_core.storage.files import check_version, folder_lock, make_folder, quarantined, why, write_atomically
from ffe_core.timeframes import seconds

log = logging.getLogger(__name__)
Entries = dict[str, dict[str, Any]]
_Marks = Mapping[Series, Watermarks]
_LOOK_SECONDS = 2.0
_COPY_SECONDS = 5
"""A commit is copied within moments; after these its writer is taken to have died before it could."""
VERSION = 1
_VERSION_KEY = "format_version"


@dataclass(frozen=True, slots=True)
class WatermarkEntry:
    """One line of the file: the series (its provider empty if set by hand without one) and its marks."""

    series: Series
    marks: Watermarks


class WatermarkStore:
    """Watermarks by pair and timeframe, and by provider where one is named."""

    def __init__(self, storage_path: str | Path = "data/watermarks") -> None:
        self.storage_path = Path(storage_path)
        self.file = self.storage_path / "watermarks.json"
        make_folder(self.storage_path, "the watermark folder")
        self._lock = folder_lock(self.storage_path / ".watermarks.lock")
        self._entries: tuple[Entries, tuple[_Marks, _Marks]] = {}, ({}, {})  # and of which content they were read
        self._kept: tuple[tuple[int, int, int] | None, Entries] = None, {}  # as it was read last, and of which file
        self._log_changed: Callable[[], int | None] = lambda: None
        self._heal_by_log: Callable[[], None] = lambda: None
        self._versions: Callable[[], object] | None = None
        self._seen: tuple[float, object] = -math.inf, None  # when the versions were asked for, and what they were

    def follow(
        self,
        log_changed: Callable[[], int | None],
        read_truth: Callable[[], Mapping[Series, Watermarks]],
        providers: Collection[str],
        versions: Callable[[], object] | None = None,
    ) -> None:
        """Heal the file by the lake's log now, if it is older than that or unreadable, and whenever `entries` finds so.

        `log_changed` says when the log changed last (nanoseconds since 1970; None where that cannot be told cheaply);
        the rest is as of `heal`. A writer that was killed between its commit and its copy leaves an older file, and one
        with another data directory copies to its own: where `log_changed` tells nothing, the `versions` of the tables
        are asked for every two seconds at most.
        """
        self._versions = versions
        self._log_changed = log_changed
        self._heal_by_log = lambda: self.heal(read_truth, providers)
        if not self.is_readable:
            self._heal_by_log()
        self._heal_if_behind(0)

    def get(self, asset_pair: str, timeframe: str, provider: str | None = None) -> str | None:
        """Open of the last stored bar as ISO 8601 text; without a provider, the newest of all; None if unknown."""
        series = Series.of(asset_pair, timeframe, provider or "")
        entries = self._read()
        prefix = f"{series.asset_pair}/{timeframe}/"
        keys = [series.key] if provider else [key for key in entries if key.startswith(prefix)]
        marks = [str(entries[key]["watermark"]) for key in keys if entries.get(key, {}).get("watermark")]
        return max(marks, key=times.parse_instant, default=None)

    def set(self, asset_pair: str, timeframe: str, timestamp: str | datetime, provider: str | None = None) -> None:
        """Write a watermark by hand. Without a provider, healing never touches it. InputError for a bad time."""
        series = Series.of(asset_pair, timeframe, provider or "")
        epoch = times.parse_instant(timestamp, "timestamp")
        text = timestamp if isinstance(timestamp, str) else times.iso(epoch)
        self._update(lambda entries: entries.setdefault(series.key, {}).update(watermark=text))

    def entries(self) -> list[WatermarkEntry]:
        """Every series in the file, sorted by name; it is healed first where it has been older than the log a while."""
        return [WatermarkEntry(series, marks) for series, marks in self._all()[0].items()]

    def marks(self) -> Mapping[Series, Watermarks]:
        """The marks of every series of a provider, sorted by name, not to be changed; the very same mapping as long as
        the file does not change. It is healed first as by `entries`."""
        return self._all()[1]

    def _all(self) -> tuple[_Marks, _Marks]:
        """Every entry, and those of a provider."""
        self._heal_if_behind(_COPY_SECONDS)
        content, (read, kept) = self._read(), self._entries
        if content is not read:
            read_anew = {_series_of(key): _marks_of(value) for key, value in content.items()}
            found = dict(sorted(read_anew.items()))
            kept = found, {series: marks for series, marks in found.items() if series.provider}
            self._entries = content, kept
        return kept

    def has_pair(self, provider: str, asset_pair: str) -> bool:
        """Whether anything of a stored name has been read from a provider."""
        return any(key.startswith(f"{asset_pair}/") and key.endswith(f"/{provider}") for key in self._read())

    def put(self, series: Series, marks: Watermarks, settled: int | None = None) -> None:
        """Copy a series' marks as the lake holds them; a forgotten series leaves the file.

        `settled`: the bars that open up to there (epoch seconds) need not be read again, as they no longer change.
        """
        self.put_all({series: (marks, settled)})

    def put_all(self, marks: Mapping[Series, tuple[Watermarks, int | None]]) -> None:
        """The same for several series, in one write; nothing is written where the file says so already."""

        def change(entries: Entries) -> None:
            for series, (held, settled) in marks.items():
                before = entries.pop(series.key, {})
                if held != Watermarks():
                    entries[series.key] = _changed(before, held, settled)

        if not self._says(marks):
            self._update(change)

    def _says(self, marks: Mapping[Series, tuple[Watermarks, int | None]]) -> bool:
        """Whether the file as it is now holds just these, so that nobody has to be kept waiting for it."""
        try:
            entries = self._content()
        except (OSError, ValueError, NewerFormatError):
            return False
        return all(
            (entry := entries.get(series.key)) is not None and entry == _changed(entry, held, settled)
            for series, (held, settled) in marks.items()
        )

    def settled(self, series: Series) -> int | None:
        """The open up to which bars need not be read again, epoch seconds; None where nobody has noted one."""
        noted = self._read().get(series.key, {}).get("settled")
        try:
            return None if noted is None else times.parse_instant(noted)
        except InputError:
            return None  # what it says is only worth a request

    @property
    def is_readable(self) -> bool:
        """False when the file is missing, corrupt or too new: time to heal it, or to say so."""
        try:
            self._content()
            return True
        except (OSError, ValueError, NewerFormatError):
            return False

    def heal(
        self, read_truth: Callable[[], Mapping[Series, Watermarks]], providers: Collection[str] | None = None
    ) -> None:
        """Make the file say what the lake says; entries set by hand without a provider stay.

        With `providers`, the lake was asked about them alone, and others' entries stay too.

        The lake is read under the file's lock, so that a commit made meanwhile is copied after this, not undone by it.
        """

        def change(entries: Entries) -> None:
            truth, before = read_truth(), dict(entries) if self._versions else {}
            for key in list(entries):
                provider = _series_of(key).provider
                if provider and (providers is None or provider in providers):
                    del entries[key]
            held = {series.key: marks for series, marks in truth.items() if marks != Watermarks()}
            # What settled was noted here; it is kept where healing is no rare event.
            entries.update({key: _changed(before.get(key, {}), marks, None) for key, marks in held.items()})

        self._update(change)
        try:
            os.utime(self.file)  # also where there was nothing to change: it has been compared now
        except OSError as error:
            raise StorageError(f"{self.file} cannot be written: {why(error)}") from error

    def _heal_if_behind(self, seconds: int) -> None:
        """Heal a file older than the log; where that cannot be, it is told, and read as it is: it is only a copy."""
        try:
            if self._is_behind(seconds):
                self._heal_by_log()
        except StorageError as error:
            log.warning("%s is older than the lake's log and stays so: %s", self.file, error)

    def _is_behind(self, seconds: int) -> bool:
        """Whether the log has changed after the file, and not only in these last seconds."""
        changed = self._log_changed()
        if changed is None and self._versions is not None:
            return self._has_other_versions(self._versions)
        if changed is None or changed > time.time_ns() - seconds * 10**9:
            return False
        try:
            return self.file.stat().st_mtime_ns < changed
        except OSError:
            return True

    def _has_other_versions(self, versions: Callable[[], object]) -> bool:
        at, before = self._seen
        if time.monotonic() - at < _LOOK_SECONDS:
            return False
        self._seen = time.monotonic(), versions()
        return self._seen[1] != before

    def _content(self) -> Entries:
        """The series in the file, not to be changed. ValueError (InputError is one) if it is corrupt,
        NewerFormatError, OSError."""
        stamp, (kept_stamp, kept) = _stamp(self.file), self._kept
        if stamp != kept_stamp:
            kept = _checked(self.file, json.loads(self.file.read_text(encoding="utf-8")))
            if _stamp(self.file) == stamp:
                self._kept = stamp, kept
        return kept

    def _read(self) -> Entries:
        try:
            return self._content()
        except FileNotFoundError:
            return {}
        except (ValueError, InputError):
            return {}  # corrupt: the next write, or healing, sets it aside
        except OSError as error:
            raise StorageError(f"{self.file} cannot be read: {why(error)}") from error

    def _update(self, change: Callable[[Entries], None]) -> None:
        try:
            with self._lock:
                self._quarantine_if_corrupt()
                entries = {key: dict(value) for key, value in self._read().items()}
                before = json.dumps(entries)
                change(entries)
                if json.dumps(entries) != before or not self.file.exists():
                    content = {_VERSION_KEY: VERSION, **dict(sorted(entries.items()))}
                    write_atomically(self.file, json.dumps(content, indent=2) + "\n")
        except OSError as error:
            raise StorageError(f"{self.file} cannot be written: {why(error)}") from error

    def _quarantine_if_corrupt(self) -> None:
        try:
            self._content()
        except FileNotFoundError:
            return
        except (ValueError, InputError) as error:
            log.warning("%s was corrupt (%s); kept as %s and rebuilt", self.file, error, quarantined(self.file))


def _stamp(file: Path) -> tuple[int, int, int]:
    """What tells a file from those that took its name before. OSError if there is none."""
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _changed(before: Mapping[str, Any], marks: Watermarks, settled: int | None) -> dict[str, Any]:
    """The entry of a series with these marks in the place of those before."""
    kept = before.get("settled") if settled is None else times.iso(settled)
    return _value_of(marks) | ({"settled": kept} if kept else {})


def _checked(file: Path, tree: Any) -> Entries:
    """The series of the file's content if it has the right form; ValueError otherwise, NewerFormatError."""
    if not isinstance(tree, dict):
        raise ValueError("not an object")
    check_version(file, tree.pop(_VERSION_KEY, None), VERSION)
    for key, value in tree.items():
        _series_of(key)
        if not isinstance(value, dict):
            raise ValueError(f"entry {key!r} is not an object")
        _marks_of(value)
    return tree


def _series_of(key: str) -> Series:
    pair, timeframe, provider = [*key.split("/"), ""][:3]
    seconds(timeframe)
    return Series(normalize_pair(pair, provider), timeframe, provider)


def _marks_of(value: Mapping[str, Any]) -> Watermarks:
    watermark, low = value.get("watermark"), value.get("low")
    return Watermarks(
        None if watermark is None else times.parse_instant(watermark),
        None if low is None else times.parse_instant(low),
    )


def _value_of(marks: Watermarks) -> dict[str, str]:
    named = {"watermark": marks.watermark, "low": marks.low}
    return {name: times.iso(mark) for name, mark in named.items() if mark is not None}
