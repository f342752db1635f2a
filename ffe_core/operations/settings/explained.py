"""Settings as a person reads them: each with its value, where that comes from, and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from ffe_core import sources
from ffe_core.errors import InputError
from ffe_core.operations.settings.meanings import MEANINGS
from ffe_core.provider_settings import SECTIONS
from ffe_core.redaction import redact
from ffe_core.settings import Settings, outside

_SHORT_SECRET = 12
"""Characters below which the end of a secret would tell too much of it."""
_MISSING = object()


class Source(StrEnum):
    """Where a value comes from."""

    ENVIRONMENT = "environment"
    FILE = "secrets.toml"
    CODE = "code"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: the name of its variable, its value as text (a secret only as "set"), its source and meaning.

    `is_stale`: it was set to something else since this process started, which reads settings once.
    """

    variable: str
    value: str
    source: Source
    meaning: str
    is_secret: bool = False
    is_stale: bool = False

    @property
    def section(self) -> str:
        """The section it is of, such as "oanda"; for one that stands alone its own name."""
        return self.variable.removeprefix(sources.PREFIX).partition("__")[0].lower()


def explained(settings: Settings) -> list[Setting]:
    """Every setting of this process, in the order of the README."""
    try:
        environment, file = outside()
    except InputError:  # they could be read when this process started
        environment, file = {}, {}
    return [_one(settings, path, model, environment, file) for path, model in _paths()]


def _paths() -> Iterator[tuple[tuple[str, ...], type[BaseModel] | None]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (((name, below), field.annotation) for below in field.annotation.model_fields)
        else:
            yield (name,), None
    for name, model in SECTIONS.items():
        yield from (((name, below), model) for below in model.model_fields)


def _one(
    settings: Settings,
    path: tuple[str, ...],
    model: type[BaseModel] | None,
    environment: Mapping[str, Any],
    file: Mapping[str, Any],
) -> Setting:
    name = sources.variable(*path)
    section = settings.section(path[0], model) if model and path[0] in SECTIONS else getattr(settings, path[0])
    value = getattr(section, path[1]) if len(path) > 1 else section
    default = _default(path, model)
    source, now = Source.DEFAULT, _MISSING
    for kind, tree in ((Source.ENVIRONMENT, environment), (Source.FILE, file)):
        if source is Source.DEFAULT and (found := _at(tree, path)) is not _MISSING:
            source, now = kind, found
    is_default = _is_default_lake(settings, path) or (default is not _MISSING and value == default)
    if source is Source.DEFAULT and not is_default:
        source = Source.CODE
    secret = sources.is_secret(name) or name == "FFE_WEBHOOK__URL"
    stale = now is not _MISSING and not _is_same(path, model, now, value)
    if path == ("database_url",) and settings.database:
        value = settings.database.place
    return Setting(name, _shown(value, secret), source, MEANINGS.get(name, ""), secret, stale)


def _is_default_lake(settings: Settings, path: tuple[str, ...]) -> bool:
    """Whether it is the address of the lake, and that follows from the data directory."""
    return path == ("lake_uri",) and settings.lake_uri == str(settings.data_dir / "lake")


def _default(path: tuple[str, ...], model: type[BaseModel] | None) -> Any:
    field = (model or Settings).model_fields[path[-1]]
    made = field.get_default(call_default_factory=True)
    return _MISSING if path[0] in ("data_dir", "lake_uri") else made


def _at(tree: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    node: Any = tree
    for part in path:
        if not isinstance(node, Mapping) or part not in node:
            return _MISSING
        node = node[part]
    return node


def _is_same(path: tuple[str, ...], model: type[BaseModel] | None, now: Any, value: Any) -> bool:
    """Whether what is set now reads as the value that this process has; a value that cannot be read is another."""
    if model is None:
        return path[0] in ("data_dir", "lake_uri") or _as(Settings, path, now) == value
    return bool(_as(model, path, now) == value)


def _as(model: type[BaseModel], path: tuple[str, ...], now: Any) -> Any:
    text = now.strip() if isinstance(now, str) else now
    try:
        return getattr(model.model_validate({path[-1]: text}), path[-1])
    except ValueError:
        return _MISSING


def _shown(value: Any, secret: bool) -> str:
    if not secret:
        return redact(str(list(value) if isinstance(value, tuple) else value)) if value not in (None, "") else ""
    text = str(value or "")
    if not text:
        return "missing"
    return f"set, ends in {text[-2:]}" if len(text) >= _SHORT_SECRET else "set"
