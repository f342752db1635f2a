"""Widgets that the pages share; import from here."""

from pages.widgets import memory  # before everything that takes some

# isort: split
from pages.widgets.frame import actor, banner, section, service
from pages.widgets.states import STATE_COLORS, health_badge, health_column, state_badge, state_column
from pages.widgets.text import duration, many, number, plain, plotted, relative, span, when
from pages.widgets.travel import go, is_leaving
from pages.widgets.url import arrived, bound_address, from_url, keep_in_url, listed, note, notes, one_of, whole

__all__ = [
    "STATE_COLORS",
    "actor",
    "arrived",
    "banner",
    "bound_address",
    "duration",
    "from_url",
    "go",
    "health_badge",
    "health_column",
    "is_leaving",
    "keep_in_url",
    "listed",
    "many",
    "memory",
    "note",
    "notes",
    "number",
    "one_of",
    "plain",
    "plotted",
    "relative",
    "section",
    "service",
    "span",
    "state_badge",
    "state_column",
    "when",
    "whole",
]
