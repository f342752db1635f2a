"""Is a known secret masked in every text, log line and traceback?"""

from __future__ import annotations

import io
import logging

import pytest

from ffe_core import redaction
from ffe_core.redaction import RedactingFormatter, redact, register


@pytest.fixture(autouse=True)
def _none_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_secrets", set())


def test_a_secret_is_masked_plain_and_url_encoded():
    register("a/b c+d")
    assert redact("key=a%2Fb%20c%2Bd and a/b c+d.") == "key=*** and ***."


def test_the_longest_secret_goes_first():
    register("abcd")
    register("abcdefgh")
    assert redact("abcdefgh abcd") == "*** ***"


def test_a_text_too_short_to_be_a_secret_is_left_alone():
    register("abc")
    register("")
    assert redact("abc") == "abc"


def test_a_formatter_masks_the_finished_line_and_its_traceback():
    register("s3cret-value")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter("%(message)s"))
    logger = logging.Logger("alone")
    logger.addHandler(handler)
    try:
        raise ValueError("failed with s3cret-value")
    except ValueError:
        logger.exception("asked with %s", {"key": "s3cret-value"})
    assert "s3cret-value" not in stream.getvalue()
    assert stream.getvalue().count("***") >= 2
