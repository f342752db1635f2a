"""Server settings: the addresses it answers to, and whose pages may frame it."""

from __future__ import annotations

import logging

from streamlit import config

from ffe_core.errors import InputError
from ffe_core.operations.imports.uploads import MOST_MB
from ffe_core.settings import ConsoleSettings, Settings
from pages.server.addresses import LOOPBACK, Addresses

log = logging.getLogger(__name__)


def surface() -> tuple[Addresses, tuple[str, ...]]:
    """Addresses and frame ancestors; with settings that cannot be read, which every page says, the strictest ones."""
    own = _console_settings()
    hosts = tuple(config.get_option("server.allowedHosts") or ())
    return Addresses.of(hosts, own.origins), own.frame_ancestors


def is_shared() -> bool:
    """Whether the console answers to other names than this machine's, so that others may reach it."""
    return not set(surface()[0].hosts) <= set(LOOPBACK)


def let_streamlit_know() -> None:
    """Streamlit has options of its own for Host and Origin of the websocket and for the size of an upload."""
    config.set_option("server.maxUploadSize", MOST_MB)
    origins = _console_settings().origins
    if origins:
        config.set_option("server.allowedHosts", [*surface()[0].hosts])
        config.set_option("server.corsAllowedOrigins", [*config.get_option("server.corsAllowedOrigins"), *origins])


def _console_settings() -> ConsoleSettings:
    try:
        return Settings.load().console
    except InputError as error:
        log.error("%s; the console answers to this machine's names only", error)
        return ConsoleSettings()
