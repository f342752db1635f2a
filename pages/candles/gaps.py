"""Kinds of missing bars as a chart names and shades them."""

from __future__ import annotations

GAPS: dict[str, tuple[str, str]] = {
    "unexplained": ("missing, unexplained", "rgba(210,60,60,0.22)"),
    "dead_lettered": ("dead lettered", "rgba(220,140,30,0.28)"),
    "marked": ("marked as explained", "rgba(120,130,140,0.20)"),
    "later": ("not known at that moment", "rgba(90,120,200,0.16)"),
    "not_ingested": ("never asked for", "rgba(120,130,140,0.10)"),
}
"""Kind of gap -> what it is called and its shade."""
MOST_SHADES = 300
"""So many gaps are shaded, the widest first."""
