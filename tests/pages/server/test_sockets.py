"""Does the server send what it has written at once, instead of waiting for the browser to confirm what came before?"""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path

import pytest

from pages.server.sockets import send_at_once
from tests.browser.driver import Server

_REQUESTS = 30
_DELAYED_ACK_SECONDS = 0.04


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_connection_that_comes_in_does_not_wait(family: socket.AddressFamily, address: str) -> None:
    if family == socket.AF_INET6 and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with socket.socket(family) as listening, socket.socket(family) as visitor:
        try:
            listening.bind((address, 0))
        except OSError:
            pytest.skip(f"no {address} here")
        listening.listen()
        send_at_once()
        visitor.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_other_sockets_stay_as_they_are() -> None:
    with socket.socket() as idle, socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket() as closed:
        closed.close()
        send_at_once()
        assert not idle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert datagrams.fileno() > 0


@pytest.mark.slow
def test_answers_of_the_server_come_sooner_than_a_browser_confirms(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        began = time.perf_counter()
        for _ in range(_REQUESTS):
            connection.request("GET", "/favicon.png")
            assert connection.getresponse().read()
        connection.close()
        assert time.perf_counter() - began < _REQUESTS * _DELAYED_ACK_SECONDS * 0.75
    finally:
        server.stop()
