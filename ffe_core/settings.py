"""Settings: the config dict in code, then the environment, then secrets.toml, then the default.

One tree with the same keys everywhere: `{"oanda": {"api_token": ...}}` in code is FFE_OANDA__API_TOKEN in the
environment and `[oanda] api_token = ...` in .streamlit/secrets.toml. The first source that names a key wins.

White space around a text of the environment or the file, and one pair of matching quotes around it, are not part of the
value: env files and container tools pass them on. Credentials lose white space around them whatever their source.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, ValidationInfo, field_validator

from ffe_core import sources
from ffe_core.calendars import CalendarOverrideError, MarketCalendar, calendar_for, check_overrides, checked_holidays
from ffe_core.calendars.hour_grid import on_hour_grid
from ffe_core.calendars.listed import listed
from ffe_core.check_settings import CheckSettings
from ffe_core.database_address import DatabaseAddress, database_address
from ffe_core.errors import InputError
from ffe_core.file_sources import is_file_source
from ffe_core.instruments.model import SeriesFacts
from ffe_core.instruments.names import asset_class, normalize_pair
from ffe_core.locations import data_folder, lake_address
from ffe_core.provider_settings import SECTIONS
from ffe_core.ray_address import ray_address
from ffe_core.redaction import register
from ffe_core.sources import PREFIX
from ffe_core.sources import variable as variable
from ffe_core.store_settings import StoreSettings
from ffe_core.upkeep_settings import UpkeepSettings

SECRETS_FILE = Path(".streamlit/secrets.toml")

_HOUR, _DAY = 3600, 86_400
_FOR_TESTS = f"{PREFIX}CHROMIUM"

Seconds = Annotated[float, Field(ge=0, le=_HOUR, allow_inf_nan=False)]
Timeout = Annotated[float, Field(gt=0, le=_HOUR, allow_inf_nan=False)]
"""Seconds; up to an hour."""

Facts = Callable[[str, str], Mapping[str, SeriesFacts]]
"""What was learned about a pair of a provider, by timeframe."""

Section = TypeVar("Section", bound=BaseModel)
Config = Mapping[str, Any]


class RetrySettings(BaseModel):
    """How often a request is tried in all, and the first wait; waits double (5, 10, 20 s)."""

    attempts: int = Field(default=3, ge=1, le=1000)
    base_delay_seconds: Seconds = 5.0


class HttpSettings(BaseModel):
    """Time-outs of one request, in seconds; `total` bounds a body that only drips, `max_body_mb` one that is huge."""

    connect_timeout_seconds: Timeout = 10.0
    read_timeout_seconds: Timeout = 20.0
    total_timeout_seconds: Timeout = 60.0
    max_body_mb: float = Field(default=64.0, gt=0, le=4096, allow_inf_nan=False)
    """Megabytes (2**20 bytes) of an answer, unpacked."""


class CalendarSettings(BaseModel):
    """Holidays of the FX week, MM-DD or YYYY-MM-DD, and calendars by "provider/PAIR" (docs/calendars.md).

    Who opens the state database says with `learn_from` what was learned about series; copies of settings share it.
    """

    fx_holidays: tuple[str, ...] = ("12-25", "01-01")
    overrides: dict[str, str] = {}

    @field_validator("fx_holidays")
    @classmethod
    def _are_days(cls, holidays: tuple[str, ...]) -> tuple[str, ...]:
        return checked_holidays(holidays)

    @field_validator("overrides")
    @classmethod
    def _are_calendars(cls, overrides: dict[str, str]) -> dict[str, str]:
        check_overrides(overrides)
        for key in overrides:
            name = key.partition("/")[0].strip().lower()
            if name not in SECTIONS and not is_file_source(name):
                raise CalendarOverrideError(key, f" names no provider; use one of {', '.join(SECTIONS)}")
        return overrides

    _facts: Facts | None = PrivateAttr(default=None)

    def learn_from(self, facts: Facts) -> None:
        """From now on calendars heed what was learned: first and last bars, and where in the hour bars open."""
        self._facts = facts

    def of(self, provider: str, pair: str) -> MarketCalendar:
        """The calendar of a pair at a provider from its first known bar to its last. Raises as `market_of`."""
        known = self._known(provider, pair)
        return listed(self._market(provider, pair, known), known)

    def within(self, market: MarketCalendar, provider: str, pair: str) -> MarketCalendar:
        """A market's calendar from the first known bar of a pair to its last."""
        return listed(market, self._known(provider, pair))

    def market_of(self, provider: str, pair: str) -> MarketCalendar:
        """The hours of the pair's market, listed or not. InputError for an override that cannot be."""
        return self._market(provider, pair, self._known(provider, pair))

    def _known(self, provider: str, pair: str) -> Mapping[str, SeriesFacts]:
        facts = self._facts  # asked once: pydantic takes long to find what is private
        return {} if facts is None else facts(provider, normalize_pair(pair, provider))

    def _market(self, provider: str, pair: str, known: Mapping[str, SeriesFacts]) -> MarketCalendar:
        """The market's hours, on the hourly grid that was learned of a share."""
        calendar = calendar_for(provider, pair, self.overrides, self.fx_holidays)
        offset = known["1h"].hour_offset if "1h" in known else None
        is_share = offset is not None and asset_class(normalize_pair(pair, provider), provider) == "equity"
        return on_hour_grid(calendar, offset) if is_share else calendar


class ConsoleSettings(BaseModel):
    """Under which addresses browsers may use the console besides its own, and whose pages may frame it.

    Both are origins such as https://candles.example; `frame_ancestors` also takes 'self'.
    """

    origins: tuple[str, ...] = ()
    frame_ancestors: tuple[str, ...] = ()

    @field_validator("origins", "frame_ancestors")
    @classmethod
    def _are_origins(cls, listed: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        words = ("'self'",) if info.field_name == "frame_ancestors" else ()
        return tuple(one if one in words else sources.checked_origin(one) for one in listed)


class FileSettings(BaseModel):
    """Section `files`: what imported files may unpack to, each in megabytes (2**20 bytes), and below which folders the
    Import page may read. None named: any, unless others than this machine can reach the console."""

    max_unpacked_mb: float = Field(default=16_384.0, gt=0, le=2**30, allow_inf_nan=False)
    folders: tuple[Path, ...] = ()

    @field_validator("folders")
    @classmethod
    def _are_whole(cls, folders: tuple[Path, ...]) -> tuple[Path, ...]:
        if relative := [str(one) for one in folders if not one.expanduser().is_absolute()]:
            raise ValueError(f"{relative[0]!r} is no whole path; write one like /data/klines")
        return tuple(one.expanduser() for one in folders)


class WebhookSettings(BaseModel):
    """Section `webhook`: where messages go, and how many new dead letters are worth one."""

    url: str = ""
    dead_letter_limit: int = Field(default=100, ge=1, le=10**9)
    timeout_seconds: Timeout = 10.0

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        return sources.checked_http_url(url) if url else url


class Settings(BaseModel):
    """All settings that are not one provider's own; `section` reads a provider's."""

    model_config = ConfigDict(frozen=True, extra="allow")

    data_dir: Path = Field(default=Path("data"), validate_default=True)
    lake_uri: str = Field(default="", validate_default=True)
    database_url: str = Field(default="", repr=False)
    store: StoreSettings = StoreSettings()
    ray_address: str = ""
    close_grace_seconds: int = Field(default=60, ge=0, le=_DAY)
    lease_wait_seconds: float = Field(default=600.0, ge=0, le=7 * _DAY, allow_inf_nan=False)
    retry: RetrySettings = RetrySettings()
    http: HttpSettings = HttpSettings()
    files: FileSettings = FileSettings()
    calendars: CalendarSettings = Field(default_factory=CalendarSettings)
    console: ConsoleSettings = ConsoleSettings()
    webhook: WebhookSettings = WebhookSettings()
    upkeep: UpkeepSettings = UpkeepSettings()
    checks: CheckSettings = CheckSettings()

    @field_validator("data_dir", mode="before")
    @classmethod
    def _is_one_folder(cls, place: Any) -> Any:
        return data_folder(place or "data", variable("data_dir")) if isinstance(place, str | Path) else place

    @field_validator("lake_uri", mode="before")
    @classmethod
    def _is_beside_data(cls, place: Any, info: ValidationInfo) -> Any:
        if place in (None, ""):
            folder = info.data.get("data_dir")
            return lake_address(folder / "lake", variable("data_dir")) if folder else ""
        return lake_address(place, variable("lake_uri")) if isinstance(place, str | Path) else place

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, text: str) -> str:
        return database_address(text, variable("database_url")).url if text else text

    @field_validator("store")
    @classmethod
    def _is_whole(cls, store: StoreSettings) -> StoreSettings:
        store.require_whole()
        return store

    @field_validator("ray_address")
    @classmethod
    def _is_head(cls, text: str) -> str:
        return ray_address(text, variable("ray_address")) if text else text

    @property
    def lake_options(self) -> dict[str, str]:
        """What delta-rs is told of the store of the lake; empty for a local folder."""
        return self.store.options(self.lake_uri)

    @property
    def database(self) -> DatabaseAddress | None:
        """Where the state is kept; None for the file in the data directory."""
        return database_address(self.database_url) if self.database_url else None

    @classmethod
    def load(cls, config: Config | Settings | None = None) -> Settings:
        """Settings from all sources; InputError names the variable that is wrong."""
        if isinstance(config, Settings):
            return config
        environment, file = outside()
        tree = sources.checked_secrets(sources.merged(file, environment, dict(config or {})))
        for secret in (*sources.secrets_of(tree), *sources.secrets_of_clouds(os.environ)):
            register(secret)
        settings = _validated(cls, tree, ())
        register(settings.webhook.url)  # whoever knows it can post
        if (database := settings.database) is not None:
            for secret in (database.url, *database.secrets):
                register(secret)
        return settings

    def section(self, name: str, model: type[Section]) -> Section:
        """A provider's own settings, checked against `model`."""
        return _validated(model, (self.model_extra or {}).get(name, {}), (name,))

    def check_sections(self) -> None:
        """InputError if a value of a declared section is wrong, also of one that nothing has used yet."""
        for name, model in SECTIONS.items():
            if name in (self.model_extra or {}):
                self.section(name, model)


def outside() -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What the environment and the secrets file name now. InputError for what cannot be read."""
    return sources.from_environment(os.environ), sources.from_file(SECRETS_FILE)


def unknown_settings() -> list[str]:
    """A sentence for each name in the environment and the secrets file that is no setting, with the nearest that is.

    In the file only sections of ours are looked through: it is Streamlit's too.
    """
    known = _known_names()
    named = {name for name in os.environ if name.upper().startswith(PREFIX) and not name.startswith(PREFIX)}
    ours = {key: value for key, value in sources.from_file(SECRETS_FILE).items() if key in _models()}
    for tree in (ours, sources.from_environment(os.environ)):
        named |= {variable(*path) for path in _paths(tree)}
    named -= {_FOR_TESTS}
    return [_unknown(name, known) for name in sorted(named) if not _is_known(name, known)]


def _models() -> dict[str, type[BaseModel]]:
    own = {name: field.annotation for name, field in Settings.model_fields.items()}
    return {
        **{name: kind for name, kind in own.items() if isinstance(kind, type) and issubclass(kind, BaseModel)},
        **SECTIONS,
    }


def _known_names() -> list[str]:
    plain = [variable(name) for name in Settings.model_fields]
    return plain + [
        name
        for section, model in _models().items()
        for name in (variable(section), *(variable(section, field) for field in model.model_fields))
    ]


def _paths(tree: Mapping[str, Any], *above: str) -> list[tuple[str, ...]]:
    return [
        path
        for key, value in tree.items()
        for path in (_paths(value, *above, key) if isinstance(value, Mapping) and not above else [(*above, key)])
    ]


def _is_known(name: str, known: list[str]) -> bool:
    """Also below a setting that is a table itself, such as the overrides of calendars."""
    return name in known or any(name.startswith(f"{one}__") for one in known if one.count("__") == 1)


def _unknown(name: str, known: list[str]) -> str:
    near = get_close_matches(name.upper(), known, 1)
    return f"{name} is no setting and changes nothing" + (f"; did you mean {near[0]}?" if near else "")


def _validated(model: type[Section], tree: Any, path: tuple[str, ...]) -> Section:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise _wrong(error, path) from None


_LISTS = {
    "tuple_type": 'the value is no list; write it like ["12-25", "01-01"]',
    "dict_type": 'the value is no dictionary; write it like {"oanda/XAUUSD": "oanda-gold"}',
}
"""What the libraries that read settings call by the names of Python's types."""


def _wrong(error: ValidationError, path: tuple[str, ...]) -> InputError:
    """What is wrong with the first wrong value, by the name of its variable."""
    first = error.errors(include_url=False, include_input=False)[0]
    reason = first.get("ctx", {}).get("error")
    if isinstance(reason, InputError) and (reason.field or "").startswith(PREFIX):
        return InputError(reason.problem, field=reason.field)
    text = (_LISTS.get(first["type"]) or first["msg"].lower()) if reason is None else str(reason)
    where = variable(*path, *(str(part) for part in first["loc"]))
    return InputError(f"{text}; see the settings table in the README", field=where)
