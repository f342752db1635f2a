"""Look at a part before it is read: by a profile that is named or recognised, and by what its rows show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ffe_core.candles import VALUES
from ffe_core.errors import InputError
from ffe_core.files.checks import check_prices, check_spacing, read_numbers
from ffe_core.files.columns import map_columns
from ffe_core.files.forms.base import Block, Source
from ffe_core.files.forms.binary import RecordSource, is_records
from ffe_core.files.forms.json_rows import JsonSource
from ffe_core.files.forms.tables import TableSource, is_table
from ffe_core.files.forms.text import TextSource, head_lines, text_form
from ffe_core.files.found import Look
from ffe_core.files.opening import Content, check_text
from ffe_core.files.profile import Profile
from ffe_core.files.questions import Choice, Question
from ffe_core.files.recognise import alike, recognised, said_by
from ffe_core.files.survey import surveyed
from ffe_core.files.timing import read_time
from ffe_core.timeframes import TIMEFRAMES


class Looker:
    """Looks at parts by the profiles there are and the answers that were given."""

    def __init__(self, profiles: Mapping[str, Profile], chosen: Profile | None, answers: Mapping[str, Any]) -> None:
        """`answers` are fields of a profile that a person has given; `chosen` is the profile they named."""
        self._profiles, self._chosen, self._answers = profiles, chosen, dict(answers)

    def look(self, content: Content, timeframe: str = "") -> Look:
        """What a part is. `timeframe` is the one that was said, if any. InputError for what is no file of candles."""
        found = self._form(content)
        step = TIMEFRAMES.get(timeframe) or TIMEFRAMES.get(found.named.timeframe) or 0
        found.step = step
        head = _head(found.source) if content.size and found.source.names else None
        if head is None:
            found.is_empty = not found.questions
            return found
        if not found.questions:
            map_columns(found, self._answers)
        if found.questions:
            return found
        read_time(found, head)
        read_numbers(found, head)
        check_prices(found, head)
        if step:
            surveyed(found)
            if not found.questions:
                check_spacing(found)
        return found

    def _form(self, content: Content) -> Look:
        """The source of the rows and the profile they are read by."""
        path = content.part.inner_path
        known = list(self._profiles.values())
        if is_table(content):
            source = TableSource(content)
            form = self._profiles.get("yfinance-download") if source.is_joined else None
            chosen = self._chosen or form or recognised(known, path, [], source.names)
            return self._by_profile(content, source, chosen)
        if is_records(content):
            records = RecordSource(content)
            if content.head[:3] == b"DBN":
                return self._by_profile(content, records, self._chosen or self._profiles.get("databento-dbn"))
            return self._bi5(content, records, self._chosen or recognised(known, path, [], records.names))
        if content.head.lstrip()[:1] in (b"[", b"{"):
            profile = self._chosen or recognised(known, path, [], _json_names(content))
            return self._by_profile(
                content, JsonSource(content, profile or Profile(columns=self._answers.get("columns", ()))), profile
            )
        return self._text(content, path, known)

    def _text(self, content: Content, path: str, known: list[Profile]) -> Look:
        lines = head_lines(content)
        if content.head[:4] == b"PK\x03\x04":
            problem = "is a workbook or an archive; save its sheet as CSV, or name the archive .zip"
            raise InputError(f"{content.part.name} {problem}", field="file")
        check_text(content)
        bare = text_form(content, Profile())
        header = bare.names if bare.has_header else []
        profile = self._chosen or recognised(known, path, lines, header)
        form = text_form(content, (profile or Profile()).with_answers(**_of_form(self._answers)))
        found = self._by_profile(content, TextSource(content, form, profile or Profile()), profile)
        if not form.is_named and not found.profile.time and lines:
            found.questions.append(_ask_form(alike(known, lines), form.names, lines))
        return found

    def _bi5(self, content: Content, records: RecordSource, profile: Profile | None) -> Look:
        """Dukascopy's candles, whose prices are times a number that only the pair tells."""
        found = self._by_profile(content, records, profile)
        if profile is None and content.size:
            scales = [one for one in self._profiles.values() if one.form == "bi5"]
            choices = tuple(
                Choice(f"--profile {one.name}", one.about) for one in sorted(scales, key=lambda one: one.name)
            )
            text = "nothing tells what its prices are multiplied by: the path names no pair of which that is known"
            found.questions.append(Question("form", text, choices))
        return found

    def _by_profile(self, content: Content, source: Source, profile: Profile | None) -> Look:
        complete = (profile or Profile()).with_answers(**self._answers)
        look = Look(content, source, complete, answered=frozenset(self._answers), is_recognised=profile is not None)
        look.named = said_by(profile, content.part.inner_path)
        if profile is not None:
            look.why["form"] = (profile.name, "as you say" if self._chosen else "its marks are unmistakable")
        return look


def source_of(content: Content, profile: Profile) -> Source:
    """The rows of a part by a profile that leaves nothing open."""
    if is_table(content):
        return TableSource(content)
    if is_records(content):
        return RecordSource(content)
    if content.head.lstrip()[:1] in (b"[", b"{"):
        return JsonSource(content, profile)
    return TextSource(content, text_form(content, profile), profile)


def _of_form(answers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answers.items() if name in ("delimiter", "header", "columns", "skip_lines")}


def _json_names(content: Content) -> Sequence[str]:
    source = JsonSource(content, Profile())
    return source.names if source.is_named else []


def _ask_form(candidates: Sequence[Profile], columns: Sequence[str], lines: Sequence[str]) -> Question:
    choices = [Choice(f"--profile {one.name}", one.about) for one in candidates]
    naming = ",".join(["time", *VALUES, *["-"] * max(0, len(columns) - 6)][: len(columns)])
    choices.append(Choice(f"--columns {naming}", "the names of its columns, in their order, as you know them"))
    return Question(
        "form", f"there is no header, and nothing tells what the columns of {lines[0][:80]!r} are", tuple(choices)
    )


def _head(source: Source) -> Block | None:
    return next((block for block in source.blocks() if len(block)), None)
