"""Address of the head of a Ray cluster: host and port, as a setting names it."""

from __future__ import annotations

import re

from ffe_core.errors import InputError

_LIKE = "head.example:6379"
_NAME = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


def ray_address(text: str, name: str = "ray_address") -> str:
    """An address such as head.example:6379, checked; InputError of the field `name` for what is none.

    Ray itself takes "auto" and no address for whatever cluster it finds on the machine; here it is named.
    """
    found = _NAME.fullmatch(text)
    if found is None or not 0 < int(found[2]) < 65_536:
        raise InputError(f"{text[:100]!r} is not host and port of a cluster's head; write it like {_LIKE}", field=name)
    return text
