"""Sockets of the server: what is written goes out at once."""

from __future__ import annotations

import gc
import socket


def send_at_once() -> None:
    """Switch off Nagle's algorithm on what this process listens on; connections that come in inherit that.

    An answer is written in two parts, head and body, and the second would wait for the browser to confirm the first,
    which it puts off by up to 40 ms: half a second for the files of a page. asyncio does so itself, but only for
    sockets that name their protocol, which Streamlit's does not.
    """
    for one in gc.get_objects():
        if type(one) is socket.socket and _listens(one):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _listens(one: socket.socket) -> bool:
    """Whether connections by TCP come in here."""
    try:
        is_tcp = one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM
        return is_tcp and bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # closed, or a system that does not say whether one listens
        return False
