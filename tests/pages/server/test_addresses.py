"""Which names and origins are the console's own?"""

from __future__ import annotations

import pytest

from pages.server.addresses import LOOPBACK, Addresses

LOCAL = Addresses.of([], [])
PROXIED = Addresses.of(["localhost"], ["https://candles.example", "https://console.example:8443/"])


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8501", "localhost.", "127.0.0.1:1", "[::1]:8501", "127.0.0.1:65535"]
)
def test_a_name_of_this_machine_with_any_port_is_answered(host: str) -> None:
    assert LOCAL.answers_to(host)


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", " ", ":8501", "other.example", "localhost.other.example", "127.0.0.1.other.example", "127.0.0.2"),
        *("localhost:99999", "localhost:x", "localhost:", "user@localhost", "localhost/x", "localhost,other.example"),
        *("localhost\t", "localhost#", "[::1", "::1", "0.0.0.0", "notlocalhost", "localhost..", "2130706433"),
    ],
)
def test_any_other_name_is_not(host: str | None) -> None:
    assert not LOCAL.answers_to(host)


def test_named_hosts_replace_those_of_this_machine_and_may_be_patterns() -> None:
    named = Addresses.of(["Console.Example.", "*.lan", "[fe80::1]"], [])
    assert [host for host in ("console.example", "a.lan:80", "[fe80::1]") if not named.answers_to(host)] == []
    assert [host for host in (*LOOPBACK, "lan", "alan", "a.lan.example") if named.answers_to(host)] == []
    assert Addresses.of(["*"], []).answers_to("anything.example")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8501", "localhost:8501"),
        ("http://LOCALHOST:8501", "localhost:8501"),
        ("http://localhost", "localhost"),
        ("http://localhost:80", "localhost"),
        ("https://localhost", "localhost:443"),
        ("http://[::1]:8501", "[::1]:8501"),
    ],
)
def test_a_page_of_the_address_that_was_asked_is_the_consoles_own(origin: str, host: str) -> None:
    assert LOCAL.is_own(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "", "localhost:8501", "http://", "file://", "http://other.example", "http://localhost:8502"),
        *("http://localhost", "https://localhost", "http://127.0.0.1:8501", "http://localhost:8501@other.example"),
        *("http://localhost:8501/x", "ftp://localhost:8501", "http://localhost:8501.other.example", "http://[::1"),
    ],
)
def test_a_page_of_any_other_scheme_name_or_port_is_another_sites(origin: str) -> None:
    assert not LOCAL.is_own(origin, "localhost:8501")


def test_a_named_origin_counts_whole_whatever_the_host() -> None:
    for host in ("candles.example", "localhost:8501", None):
        assert PROXIED.is_own("https://candles.example", host)
        assert PROXIED.is_own("https://console.example:8443", host)
    assert not PROXIED.is_own("http://candles.example", "candles.example")
    assert not PROXIED.is_own("https://console.example", "candles.example")
    assert not PROXIED.is_own("https://candles.example:8443", "candles.example")
    assert PROXIED.is_own("http://localhost:8501", "localhost:8501")


def test_the_host_of_a_named_origin_is_answered() -> None:
    assert PROXIED.answers_to("candles.example")
    assert PROXIED.answers_to("console.example:8443")
    assert not PROXIED.answers_to("other.example")
