"""Is it known of each session's chart, and of no other, that it was drawn?"""

from __future__ import annotations

import threading

from pages.candles.drawn import _MOST, expect, is_said, note


def test_a_word_counts_for_whoever_was_given_it() -> None:
    mine, other = expect(), expect()
    assert mine != other
    note(mine)
    assert is_said(mine)
    assert not is_said(other)


def test_a_word_that_nobody_was_given_is_nothing() -> None:
    for word in ("", "x" * 200, "deadbeef"):
        note(word)
        assert not is_said(word)


def test_who_waits_is_told_at_once() -> None:
    word = expect()
    threading.Timer(0.05, note, [word]).start()
    assert is_said(word, 20)


def test_words_that_are_never_said_do_not_add_up() -> None:
    first = expect()
    for _ in range(_MOST):
        expect()
    note(first)
    assert not is_said(first)
