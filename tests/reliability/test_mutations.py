"""Does each guard that is taken away by the mutation check still stand where it says, and its test too?"""

from __future__ import annotations

import pytest

from tests.reliability.mutations import GUARDS, ROOT, Guard


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_the_text_of_each_guard_is_found_once(guard: Guard) -> None:
    held = (ROOT / guard.file).read_text(encoding="utf-8")
    assert [held.count(text) for text, _ in guard.changes] == [1] * len(guard.changes)
    file, *names = guard.test.split("::")
    test = (ROOT / file).read_text(encoding="utf-8")
    assert all(f"def {name}(" in test or f"class {name}" in test for name in names)
