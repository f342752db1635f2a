"""The console's pages: what the list of pages shows of each, and what the palette finds it by."""

from __future__ import annotations

from typing import NamedTuple


class Listed(NamedTuple):
    """A page in the list: its folder and address, its title, its Material icon, and what it is for."""

    address: str
    title: str
    icon: str
    help: str


FRONT = Listed("overview", "Overview", "space_dashboard", "What there is, how fresh it is, and what needs attention.")
"""The page at the address of the console itself."""
SECTIONS: dict[str, tuple[Listed, ...]] = {
    "Ingest": (
        Listed("backfill", "Backfill", "download", "Choose series and a range, see what it costs, and start."),
        Listed(
            "import_files",
            "Import",
            "upload_file",
            "Bring candles from files: see how they are read, answer what they leave open, and start.",
        ),
        Listed(
            "runs",
            "Runs",
            "play_circle",
            "Every backfill, replay, upkeep and check: progress, outcome, retry and continue.",
        ),
        Listed(
            "schedules",
            "Schedules",
            "schedule",
            "What runs by itself, when it is due next, and what became of every tick.",
        ),
    ),
    "Inspect": (
        Listed(
            "watermarks",
            "Watermarks",
            "water",
            "How far every series has been read, how well it is, and how to move that.",
        ),
        Listed("coverage", "Coverage", "grid_on", "What should be there, what is, what is missing and why."),
        Listed("candles", "Candles", "candlestick_chart", "Chart any stored series over any range."),
        Listed(
            "dead_letters",
            "Dead letters",
            "mark_email_unread",
            "Records that broke a rule: see why, edit them, try them, replay them.",
        ),
        Listed(
            "findings",
            "Findings",
            "fact_check",
            "What checks found of stored bars: evidence, and what is to be done about it.",
        ),
        Listed(
            "restatements",
            "Restatements",
            "history",
            "Which bars were given other values later, when, and by how much.",
        ),
        Listed(
            "storage",
            "Storage",
            "database",
            "How the lake is stored, what upkeep has done and would win, and the room that is left.",
        ),
        Listed(
            "settings",
            "Settings",
            "settings",
            "Every setting and where it comes from, and whether the providers answer.",
        ),
    ),
}
LISTED = (FRONT, *(one for some in SECTIONS.values() for one in some))
"""All of them, in the order of the list."""
