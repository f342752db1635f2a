"""What do tests of operations share? See `worlds` for what is behind it."""

from tests.operations.harness import market

__all__ = ["market"]
