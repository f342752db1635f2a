"""Addresses of a PostgreSQL state database: read once, here, and told to people without user and password."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ffe_core.errors import InputError

_SCHEMES = ("postgresql+psycopg", "postgresql", "postgres")
_LIKE = "postgresql+psycopg://user:password@db.example:5432/ffe"
_PASSWORDS = ("password", "sslpassword")
"""Parameters of libpq that are credentials (https://www.postgresql.org/docs/current/libpq-connect.html)."""


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where a state database is; `url` as SQLAlchemy takes it, with its password, `secrets` all that nobody may see."""

    url: str
    place: str
    """Database and host, for people."""
    secrets: tuple[str, ...]


def database_address(text: str, name: str = "database_url") -> DatabaseAddress:
    """Read an address such as postgresql+psycopg://user:password@host:5432/database.

    InputError of the field `name`, showing nothing of it, for what is none.
    """
    parts = _split(text, name)
    if parts.scheme not in _SCHEMES:
        raise _wrong(f"the address begins with {parts.scheme or 'no scheme'}; write it like {_LIKE},", name)
    database, given = unquote(parts.path.removeprefix("/")), parse_qsl(parts.query)
    if not database or "/" in database:
        raise _wrong(f"the address names no database; write it like {_LIKE},", name)
    host = parts.hostname or next((value for key, value in given if key == "host"), "this machine")
    passwords = [parts.password or "", *(value for key, value in given if key in _PASSWORDS)]
    return DatabaseAddress(
        f"postgresql+psycopg:{text.partition(':')[2]}",
        f"{database} on {host}" + (f":{parts.port}" if parts.port else ""),
        tuple(one for password in passwords if password for one in {password, unquote(password)}),
    )


def _split(text: str, name: str) -> SplitResult:
    # What needs escaping in a password ends it elsewhere, and would be told as a part of a host.
    if not text.isprintable() or " " in text or "#" in text:
        raise _wrong(
            "the address holds a blank, a # or what cannot be printed; write those of a password as %20, %23,", name
        )
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise _wrong("host and port cannot be read; write / : @ of a password as %2F, %3A, %40,", name) from None
    if parts.netloc.count("@") > 1:
        raise _wrong("there is more than one @; write that of a password as %40,", name)
    return parts


def _wrong(problem: str, name: str) -> InputError:
    return InputError(f"{problem} or leave it away for the file console.db in the data directory", field=name)
