"""Plan of an import: which file belongs to which series and how it is read, before anything of it is stored."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from ffe_core.errors import InputError
from ffe_core.file_sources import checked_source
from ffe_core.files.forms.text import TextForm, TextSource
from ffe_core.files.found import Look, Seen
from ffe_core.files.look import Looker, source_of
from ffe_core.files.names import timeframe_named
from ffe_core.files.opening import READABLE, Content, Opened, Part, holds_candles, is_archive, refused
from ffe_core.files.pairs import file_pair
from ffe_core.files.profile import Profile
from ffe_core.files.questions import Choice, Question
from ffe_core.files.reader import Known, Reader
from ffe_core.files.recognise import Named, said_by
from ffe_core.instruments.names import normalize_pair
from ffe_core.series import Series
from ffe_core.timeframes import TIMEFRAMES, seconds

_HEAD = 4096
_MOST_ASKED = 5
_MOST_FILES = 100_000
_MOST_SEEN = 20
_SIDES = re.compile(r"(?i)(?<![a-z])(bid|ask)(?![a-z])")
"""What names of files call the side that their prices are of."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where files go: a source, and pair and timeframe where they are said; else each file's path says them."""

    source: str
    pair: str = ""
    timeframe: str = ""

    @classmethod
    def of(cls, text: str) -> Target:
        """`files:binance/BTCUSD/1h`, or `files:binance` alone. InputError for anything else."""
        source, _, rest = text.partition("/")
        pair, _, timeframe = rest.rpartition("/") if rest.rpartition("/")[2].lower() in TIMEFRAMES else (rest, "", "")
        return cls.at(source, pair, timeframe)

    @classmethod
    def at(cls, source: str, pair: str = "", timeframe: str = "") -> Target:
        """A place by its parts, each typed by itself. InputError for one that cannot be."""
        name = checked_source(source)
        if timeframe:
            seconds(timeframe.lower())
        return cls(name, file_pair(pair, name) if pair else "", timeframe.lower())


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One part and how it is read."""

    part: Part
    profile: Profile
    named: Named
    known: Known
    symbol: str = ""
    """What its rows call their instrument, where all of them say the same and nobody chose it."""
    form: TextForm | None = None
    """Of a text whose form has been seen before; else it is found out again, by the same profile."""

    def reader(self, content: Content, step: int) -> Reader:
        """A reader of the part's rows."""
        source = TextSource(content, self.form, self.profile) if self.form else source_of(content, self.profile)
        return Reader(self.part.name, source, self.profile, step, self.named.day, self.known)


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file of a series, with its parts."""

    path: Path
    parts: tuple[PlannedPart, ...]

    @property
    def reading(self) -> str:
        """How it is read, as TOML: part of what makes two imports of a file the same."""
        return "\n".join(sorted({one.profile.as_toml() for one in self.parts}))


@dataclass(slots=True)
class ImportPlan:
    """What an import would do: files by series, what each form was taken for, and what has to be asked first."""

    target: Target
    files: dict[Series, list[PlannedFile]] = field(default_factory=dict)
    questions: list[tuple[str, Question]] = field(default_factory=list)
    """Name of the first file that raises it, and the question; one of each kind."""
    looks: list[Seen] = field(default_factory=list)
    """One of each reading, of the first 20."""
    empty: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """Files that cannot be read, and why."""

    @property
    def count(self) -> int:
        """How many files there are to read."""
        return sum(map(len, self.files.values()))


def found_files(paths: Sequence[str | Path]) -> list[Path]:
    """The files named, and those below the folders named, by path.

    InputError for what is not there or cannot be looked at, for nothing, and for more than 100,000.
    """
    found: list[Path] = []
    for given in paths:
        try:
            found += _found(Path(given))
        except InputError:
            raise
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "that is no path"
            raise InputError(f"{str(given)[:200]!r} cannot be looked at: {why}", field="files") from None
    kept = [path for path in dict.fromkeys(found) if holds_candles(path) and path.suffix.lower() != ".toml"]
    if not kept and found and all(Path(one).is_file() for one in paths):
        named = ", ".join(path.name for path in found[:_MOST_ASKED])
        problem = f"{named[:200]} {'is' if len(found) == 1 else 'are'} of a kind that holds no candles; {READABLE}"
        raise InputError(problem, field="files")
    if not kept:
        raise InputError(f"{', '.join(map(str, paths))[:200]}: no file to import is there; {READABLE}", field="files")
    return kept


def _found(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{str(path)[:200]} is not there; name files or folders of this computer", field="files")
    found = list(islice(_below(path), _MOST_FILES + 1))
    if len(found) > _MOST_FILES:
        much = f"{str(path)[:200]} holds more than {_MOST_FILES:,} files"
        raise InputError(f"{much}; name folders below it", field="files")
    return [Path(one) for one in sorted(found, key=lambda one: one.split(os.sep))]


def _below(folder: str | Path) -> Iterator[str]:
    """Paths of the files below a folder that are not hidden; neither links to folders are followed, nor those that may
    not be read."""
    with suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)
            elif entry.is_file():
                yield entry.path


class Planner:
    """Makes the plan of an import; text forms that are known to be clean are looked at once, the rest file by file."""

    def __init__(
        self, looker: Looker, target: Target, max_unpacked_mb: float, *, any_name: bool = False, member: str = ""
    ) -> None:
        """`any_name` takes files whatever pair their names say; `member` is a pattern of the members to read."""
        self._looker, self._target, self._most = looker, target, max_unpacked_mb
        self._any_name, self._member = any_name, member
        self._clean: dict[str, tuple[Profile, TextForm]] = {}

    def plan(self, files: Iterable[Path], progress: Callable[[int], object] = lambda done: None) -> ImportPlan:
        """Look at every file; nothing is stored, and what is asked is asked of all of them together.

        `progress` is told how many files are done, often while one is read; what it raises ends the plan.
        """
        plan = ImportPlan(self._target)
        for number, path in enumerate(files):
            try:
                self._add(plan, path, partial(progress, number))
            except InputError as error:
                if error.field != "file":
                    raise
                plan.unreadable.append((str(path), error.problem))
            progress(number + 1)
        if not self._any_name:
            _ask_mixed(plan)
        return plan

    def _add(self, plan: ImportPlan, path: Path, tick: Callable[[], object]) -> None:
        by_series: dict[Series, list[PlannedPart]] = {}
        with Opened(path, self._most, tick=tick) as opened:
            parts = opened.parts()
            wanted = [part for part in parts if not self._member or re.search(self._member, part.member or "")]
            self._ask_member(plan, path, wanted)
            for part in wanted:
                with refused(path):
                    planned = self._part(plan, opened, part)
                if planned is not None:
                    series = self._series(plan, planned)
                    if series is not None:
                        by_series.setdefault(series, []).append(planned)
        for series, mine in by_series.items():
            plan.files.setdefault(series, []).append(PlannedFile(path, tuple(mine)))

    def _part(self, plan: ImportPlan, opened: Opened, part: Part) -> PlannedPart | None:
        clean = self._as_before(opened, part)
        if clean is not None:
            return PlannedPart(part, clean[0], said_by(clean[0], part.inner_path), Known(), form=clean[1])
        look = self._looker.look(opened.content(part), self._target.timeframe)
        if look.is_empty:
            plan.empty.append(part.name)
            return None
        if not self._target.timeframe and not look.step:
            look.questions.insert(0, self._ask_timeframe(part))
        if len(plan.looks) < _MOST_SEEN and not any(one.profile == look.profile for one in plan.looks):
            plan.looks.append(look.seen(self._grid(look)))
        for question in look.questions:
            if not any(one.code == question.code for _, one in plan.questions):
                plan.questions.append((part.name, question))
        form = (
            look.source.form
            if isinstance(look.source, TextSource) and look.is_recognised and not look.profile.survey
            else None
        )
        if form is not None and not look.questions:
            self._clean[_kind(part, look.content.head)] = look.profile, form
        return PlannedPart(part, look.profile, look.named, look.known, look.symbol, form)

    def _ask_timeframe(self, part: Part) -> Question:
        said = self._place(f"one of {', '.join(TIMEFRAMES)}")
        others = Choice("--member PATTERN", "only members whose names match are read", True) if part.member else None
        choices = (said,) if others is None else (said, others)
        return Question("timeframe", "how long are its bars? Its name says no timeframe that there is", choices)

    def _grid(self, look: Look) -> int:
        """Seconds between two instants at which a bar of its series may open, as far as it is known of which it is."""
        target, named = self._target, look.named
        pair, timeframe = target.pair or named.pair, target.timeframe or named.timeframe
        return Series.of(pair, timeframe, target.source).grid if pair and timeframe else look.step or 1

    def _place(self, field: str) -> Choice:
        """Where the files go, to be typed: one option of the command line, several fields of a page."""
        pair, timeframe = self._target.pair or "BTCUSD", self._target.timeframe or "1h"
        example = f"for example {self._target.source}/{pair}/{timeframe}"
        return Choice(f"--as {self._target.source}/PAIR/TIMEFRAME", example, True, field)

    def _as_before(self, opened: Opened, part: Part) -> tuple[Profile, TextForm] | None:
        """Profile and form of an earlier part that begins alike and whose path says as much, if that form is clean."""
        if not self._clean:
            return None
        with opened.stream(part) as stream:
            head = stream.read(_HEAD)
        return self._clean.get(_kind(part, head))

    def _series(self, plan: ImportPlan, planned: PlannedPart) -> Series | None:
        named, target = planned.named, self._target
        pair = named.pair and normalize_pair(named.pair, target.source)
        if target.pair and pair and not self._any_name and _bare(pair) != _bare(target.pair):
            self._ask_name(plan, planned, f"its name says {pair}", f"{target.pair} is said", target.source)
        if target.pair and planned.symbol and not self._any_name and _is_another(planned.symbol, target.pair):
            # NASDAQ:AAPL is AAPL: where it trades is no part of its name.
            told = normalize_pair(re.sub("(?i)^[a-z0-9]+:", "", planned.symbol), target.source)
            place = "/".join([target.source, told, *([target.timeframe] if target.timeframe else [])])
            self._ask_name(plan, planned, f"its rows are of {planned.symbol}", f"{target.pair} is said", place)
        if target.timeframe and named.timeframe and named.timeframe != target.timeframe and not self._any_name:
            said = f"{target.timeframe} is said"
            self._ask_name(plan, planned, f"its name says {named.timeframe}", said, target.source)
        chosen, timeframe = target.pair or pair, target.timeframe or named.timeframe
        if not chosen or not timeframe:
            if not any(question.code in ("pair", "timeframe") for _, question in plan.questions):
                text = f"its path does not say of which {'timeframe' if chosen else 'pair'} it is"
                plan.questions.append(
                    (
                        planned.part.name,
                        Question("pair", text, (self._place("for example BTCUSD"),)),
                    )
                )
            return None
        return Series.of(chosen, timeframe, target.source)

    def _ask_name(self, plan: ImportPlan, planned: PlannedPart, named: str, said: str, place: str) -> None:
        if not any(question.code == "name" for _, question in plan.questions):
            choices = (
                Choice("--any-name", "it is read as what is said"),
                Choice(f"--as {place}", "it is read as what it says"),
            )
            plan.questions.append((planned.part.name, Question("name", f"{named}, and {said}", choices)))

    def _ask_member(self, plan: ImportPlan, path: Path, parts: Sequence[Part]) -> None:
        """Members of one archive whose names differ by more than their dates may be of several markets."""
        if not is_archive(path) or self._member or self._any_name or not self._target.pair:
            return
        kinds: dict[str, Part] = {}
        for part in parts:
            kinds.setdefault(re.sub(r"\d+", "#", part.member or ""), part)
        if len(kinds) > 1 and not any(question.code == "member" for _, question in plan.questions):
            shown = [part.member or "" for part in kinds.values()][:_MOST_ASKED]
            choices = (
                *(Choice(f"--member '{re.escape(name)}'", "only this one is read") for name in shown),
                Choice("--any-name", f"all {len(parts)} are read as {self._target.pair}"),
            )
            plan.questions.append(
                (path.name, Question("member", f"the archive holds members of {len(kinds)} kinds", choices))
            )


def _ask_mixed(plan: ImportPlan) -> None:
    """Ask where a series would get files of several kinds: the later ones would restate the earlier ones."""
    for series, files in plan.files.items():
        mixed = _mixed(files)
        if mixed is None:
            continue
        what, path = mixed
        apart = f"--as {series.provider}-other/..."
        choices = (
            Choice("--any-name", f"all {len(files):,} files are of {series.asset_pair}"),
            Choice(apart, "name the files of one kind, and import each kind under a name of its own", True),
        )
        plan.questions.append((path.name, Question("name", f"{series} would get {what}", choices)))
        return


def _mixed(files: Sequence[PlannedFile]) -> tuple[str, Path] | None:
    """In what files of a series differ, and a file that does: in their form, contract or side, or their folder alone.

    Spot and futures have the same names in folders of their own, mark prices lie beside trades.
    """
    forms = {one.profile.name: file.path for file in files for one in file.parts}
    sides = {side.lower(): file.path for file in files for side in _SIDES.findall(file.path.name)}
    if len(forms) > 1:
        return f"files of the forms {', '.join(sorted(forms))}", list(forms.values())[-1]
    contracts = {one.named.contract: file.path for file in files for one in file.parts}
    if len(contracts) > 1:
        told = ", ".join(sorted(name or "none" for name in contracts))
        return f"files of several contracts ({told})", list(contracts.values())[-1]
    if len(sides) > 1:
        return "files of the bid and of the ask", list(sides.values())[-1]
    seen: dict[str, Path] = {}
    for file in files:
        if seen.setdefault(file.path.name, file.path) != file.path:
            return f"several files named {file.path.name}", file.path
    return None


def answers_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Answers without what was not given."""
    return {name: value for name, value in given.items() if value not in (None, "", (), False)}


def timeframe_of(text: str) -> str:
    """A timeframe however it is written; "" for none there is."""
    return timeframe_named(text) or ""


def _kind(part: Part, head: bytes) -> str:
    """What files of one form have in common: their folder, their names but for digits, and the header or the shape of
    the first row."""
    line = head.splitlines()[0] if head.strip() else b""
    text = line.decode("utf-8", errors="replace")
    path = re.sub(r"\d+", "#", part.inner_path)
    return f"{path}\n{_shape(text)}"


def _shape(text: str) -> str:
    return text if re.match(r"\W*[A-Za-z]", text) else re.sub(r"\d+(?:\.\d+)?", "0", text)


def _bare(pair: str) -> str:
    return re.sub("[^A-Z0-9]", "", pair)


def _is_another(symbol: str, pair: str) -> bool:
    """Whether a symbol of rows is another instrument than a pair, however both are written: AAPL.US is AAPL, X:BTCUSD
    is BTCUSD, ESH4 is a month of ES; an instrument's number says nothing."""
    own = symbol.upper().rpartition(":")[2]
    spelt = {_bare(own), _bare(own.partition(".")[0])}
    spelt |= {re.sub("^XBT|XBT$", "BTC", one) for one in spelt}
    wanted = _bare(pair)
    months = any(re.fullmatch(re.escape(wanted) + r"[FGHJKMNQUVXZ]\d{1,2}", one) for one in spelt)
    return not (own.isdigit() or wanted in spelt or months)
