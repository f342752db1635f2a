"""Counts in words that agree with their number, everywhere the same."""

from __future__ import annotations


def many(count: int, thing: str, things: str | None = None) -> str:
    """How many of a thing: "1 bar", "2,000 bars", "1 batch", "2 batches" where the plural is named."""
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"
