"""Where a setting comes from: the config dict in code, then the environment, then secrets.toml, then the default.

One tree with the same keys everywhere: `{"oanda": {"api_token": ...}}` in code is FFE_OANDA__API_TOKEN in the
environment and `[oanda] api_token = ...` in .streamlit/secrets.toml. The first source that names a key wins.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ffe_core.calendars import MarketCalendar, calendar_for, check_overrides, checked_holidays
from ffe_core.errors import InputError
from ffe_core.redaction import register

PREFIX = "FFE_"
SECRETS_FILE = Path(".streamlit/secrets.toml")
_SECRET_WORDS = ("key", "token", "secret", "password")

Section = TypeVar("Section", bound=BaseModel)
Config = Mapping[str, Any]


class RetrySettings(BaseModel):
    """How often a request is tried in all, and the first wait; waits double (5, 10, 20 s)."""

    attempts: int = Field(default=3, ge=1)
    base_delay_seconds: float = Field(default=5.0, ge=0)


class HttpSettings(BaseModel):
    """Time-outs of one request, in seconds; `total` bounds a body that only drips."""

    connect_timeout_seconds: float = Field(default=10.0, gt=0)
    read_timeout_seconds: float = Field(default=20.0, gt=0)
    total_timeout_seconds: float = Field(default=60.0, gt=0)


class CalendarSettings(BaseModel):
    """Holidays of the FX week, MM-DD or YYYY-MM-DD, and calendars by "provider/PAIR" (docs/calendars.md)."""

    fx_holidays: tuple[str, ...] = ("12-25", "01-01")
    overrides: dict[str, str] = {}

    def of(self, provider: str, pair: str) -> MarketCalendar:
        """The calendar that a pair follows at a provider. InputError for an override that cannot be."""
        return calendar_for(provider, pair, self.overrides, self.fx_holidays)

    def check(self) -> None:
        """Read every holiday and override before any work. InputError names the variable of one that cannot be."""
        for name, read in (("fx_holidays", checked_holidays), ("overrides", check_overrides)):
            try:
                read(getattr(self, name))
            except InputError as error:
                raise InputError(f"{variable('calendars', name)}: {error}") from None


class Settings(BaseModel):
    """All settings that are not one provider's own; `section` reads a provider's."""

    model_config = ConfigDict(frozen=True, extra="allow")

    data_dir: Path = Path("data")
    lake_uri: str = ""
    close_grace_seconds: int = Field(default=60, ge=0)
    lease_wait_seconds: float = Field(default=600.0, ge=0)
    retry: RetrySettings = RetrySettings()
    http: HttpSettings = HttpSettings()
    calendars: CalendarSettings = CalendarSettings()

    @model_validator(mode="before")
    @classmethod
    def _lake_beside_data(cls, tree: dict[str, Any]) -> dict[str, Any]:
        data_dir = tree.get("data_dir") or cls.model_fields["data_dir"].default
        return {**tree, "lake_uri": tree.get("lake_uri") or str(Path(data_dir) / "lake")}

    @classmethod
    def load(cls, config: Config | Settings | None = None) -> Settings:
        """Settings from all sources; InputError names the variable that is wrong."""
        if isinstance(config, Settings):
            return config
        tree = _merge(_from_file(SECRETS_FILE), _from_environment(os.environ), dict(config or {}))
        _register_secrets(tree)
        settings = _validated(cls, tree, ())
        settings.calendars.check()
        return settings

    def section(self, name: str, model: type[Section]) -> Section:
        """A provider's own settings, checked against `model`."""
        return _validated(model, (self.model_extra or {}).get(name, {}), (name,))


def variable(*path: str) -> str:
    """The environment variable of a setting: ("oanda", "api_token") is FFE_OANDA__API_TOKEN."""
    return PREFIX + "__".join(part.upper() for part in path)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in environ.items():
        if name.startswith(PREFIX) and value.strip():
            *parents, leaf = name.removeprefix(PREFIX).lower().split("__")
            node = tree
            for parent in parents:
                if not isinstance(node.get(parent), dict):
                    node[parent] = {}
                node = node[parent]
            if not isinstance(node.get(leaf), dict):
                node[leaf] = _parsed(name, value)
    return tree


def _parsed(name: str, value: str) -> Any:
    """A variable that begins like a JSON list or object is one; anything else is text."""
    if not value.strip().startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        # Not its value: a whole section may stand there, credentials and all.
        raise InputError(f'{name}: the value is not JSON ({error}); write it like ["12-25", "01-01"]') from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as TOML ({error}); correct or remove it") from None


def _merge(*trees: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts merged, later ones winning; None means "not named here"."""
    merged: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            if isinstance(value, Mapping):
                below = merged.get(key)
                merged[key] = _merge(below if isinstance(below, Mapping) else {}, value)
            elif value is not None:
                merged[key] = value
    return merged


def _register_secrets(tree: Mapping[str, Any]) -> None:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            _register_secrets(value)
        elif isinstance(value, str) and any(word in key for word in _SECRET_WORDS):
            register(value)


def _validated(model: type[Section], tree: Any, path: tuple[str, ...]) -> Section:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = variable(*path, *(str(part) for part in first["loc"]))
        raise InputError(f"{where}: {first['msg'].lower()}; see the settings table in the README") from None
