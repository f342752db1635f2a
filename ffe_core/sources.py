"""Sources of settings outside of code: environment variables and a TOML file, read into one tree of values."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ffe_core.errors import InputError

PREFIX = "FFE_"
SECRET_WORDS = ("key", "token", "secret", "password")
"""A setting whose name holds one of these is a credential."""

_QUOTES = ('"', "'")
# A folder, an address or a credential may well begin with a bracket.
_NEVER_JSON = ("data_dir", "lake_uri", "url", *SECRET_WORDS)

Tree = dict[str, Any]


def variable(*path: str) -> str:
    """The environment variable of a setting: ("oanda", "api_token") is FFE_OANDA__API_TOKEN."""
    return PREFIX + "__".join(part.upper() for part in path)


def is_secret(name: str) -> bool:
    """Whether a setting of this name is a credential."""
    return any(word in name.lower() for word in SECRET_WORDS)


def from_environment(environ: Mapping[str, str]) -> Tree:
    """The tree that FFE_ variables name; an empty one names nothing. InputError for what should be JSON and is not."""
    tree: Tree = {}
    for name, text in environ.items():
        value = bare(text) if name.startswith(PREFIX) else ""
        if value:
            *parents, leaf = name.removeprefix(PREFIX).lower().split("__")
            node = tree
            for parent in parents:
                if not isinstance(node.get(parent), dict):
                    node[parent] = {}
                node = node[parent]
            if not isinstance(node.get(leaf), dict):
                node[leaf] = _parsed(name, leaf, value)
    return tree


def from_file(path: Path) -> Tree:
    """The tree of a TOML file, with or without a byte order mark; empty without a file. InputError if it is none."""
    try:
        tree: Tree = _bare_tree(tomllib.loads(path.read_text(encoding="utf-8-sig")))
        return tree
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as TOML in UTF-8 ({error}); correct or remove it") from None


def bare(text: str) -> str:
    """A text without the white space and the one pair of matching quotes around it."""
    text = text.strip()
    if len(text) >= 2 and text[0] in _QUOTES and text[-1] == text[0]:
        text = text[1:-1].strip()
    return text


def checked_http_url(url: str) -> str:
    """An address that requests can be made below, as given. ValueError, not showing it, for anything else."""
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must start with http:// or https:// and a host, for example https://api.example.com")
    return url


def checked_origin(text: str) -> str:
    """Scheme, host and port of a site as browsers send them, in lower case. ValueError for anything else."""
    parts = urlsplit(text.strip().rstrip("/").lower())
    is_bare = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc or "*" in parts.netloc)
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_bare or not text.isascii():
        raise ValueError(f"{text[:80]!r} is no origin; write scheme and host, for example https://candles.example")
    default = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if parts.port in (None, default) else f":{parts.port}")


def merged(*trees: Mapping[str, Any]) -> Tree:
    """Nested dicts merged, later ones winning; None means "not named here"."""
    together: Tree = {}
    for tree in trees:
        for key, value in tree.items():
            if isinstance(value, Mapping):
                below = together.get(key)
                together[key] = merged(below if isinstance(below, Mapping) else {}, value)
            elif value is not None:
                together[key] = value
    return together


def checked_secrets(tree: Mapping[str, Any], *path: str) -> Tree:
    """The tree with white space around credentials gone.

    InputError, never showing the value, for a key or a token that no HTTP header could carry.
    """
    return {key: _checked_secret(value, *path, str(key)) for key, value in tree.items()}


def secrets_of(tree: Mapping[str, Any]) -> list[str]:
    """The value of every credential in the tree."""
    found: list[str] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found.extend(secrets_of(value))
        elif isinstance(value, str) and is_secret(str(key)):
            found.append(value)
    return found


def secrets_of_clouds(environ: Mapping[str, str]) -> list[str]:
    """Credentials that the object stores' own libraries read from the environment, and may quote."""
    own = ("AWS_", "AZURE_", "GOOGLE_")
    return [value for name, value in environ.items() if name.startswith(own) and is_secret(name) and "FILE" not in name]


def _checked_secret(value: Any, *path: str) -> Any:
    if isinstance(value, Mapping):
        return checked_secrets(value, *path)
    if not isinstance(value, str) or not is_secret(path[-1]):
        return value
    value = value.strip()
    if path[-1].lower().endswith(("key", "token")) and not (value.isascii() and value.isprintable()):
        raise InputError("the value holds a character that no key or token has; copy it again", field=variable(*path))
    return value


def _bare_tree(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare_tree(below) for key, below in value.items()}
    return bare(value) if isinstance(value, str) else value


def _parsed(name: str, leaf: str, value: str) -> Any:
    """A variable that begins like a JSON list or object is one; anything else is text."""
    if not value.startswith(("[", "{")) or any(word in leaf for word in _NEVER_JSON):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        # Not its value: a whole section may stand there, credentials and all.
        like = '["12-25", "01-01"]' if value.startswith("[") else '{"oanda/XAUUSD": "oanda-gold"}'
        raise InputError(f"the value is not JSON ({error}); write it like {like}", field=name) from None
