"""Stored names: one for each instrument of a provider, and back from the name to what the provider is asked for.

A pair is stored without its separator (BTC-USD as BTCUSD) where the name alone leads back to it, and otherwise as the
provider writes it (T-USD, XAU_XAG). A symbol keeps its hyphens (BRK-B). What a folder or a key cannot hold is written
as ~ and two hexadecimal digits (BC/PB as BC~2FPB). So no two instruments of a provider share a name, and reading one
back looks nothing up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ffe_core.errors import InputError
from ffe_core.instruments.currencies import COMMODITIES, KNOWN, METALS, QUOTES, STATES

AssetClass = Literal["crypto", "fx", "metal", "index", "equity"]

LONGEST = 40
"""Characters of a name: the longest symbol listed anywhere has 19, and what cannot stand in a folder takes three."""
_JOINTS = {"coinbase": "-", "oanda": "_"}
"""Providers that trade pairs only, and what they write between base and quote."""
JOINED = ("", *_JOINTS)
"""The ways to read a name: as any other provider does, and as each of those."""
CRYPTO_EXCHANGES = frozenset({"coinbase"})
"""Providers that trade whatever they have at every hour, EURUSD too; a name without a quote is a future there."""
_JOINT = "_"
"""Between base and quote in the stored name of a pair at any other provider, where BASEQUOTE would mean another one."""
_SEPARATORS = re.compile(r"[-_/ ]")
_TYPED = re.compile(r"[A-Z0-9.:()&+$^*='~@\-_/ ]+", re.ASCII)
_CODE = re.compile(r"[A-Z0-9]{1,12}")
_PLAIN = re.compile(r"[A-Z0-9.\-_]")
_WRITTEN_OUT = re.compile(r"~([0-9A-F]{2})")
_LISTED = re.compile(r"@([0-9]{4}-[0-9]{2}-[0-9]{2})$", re.ASCII)
_HOME = ".US"
"""Ends the name of a New York share whose symbol alone reads as a pair (ALSAR)."""
_SHORTEST_QUOTE = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """What an instrument is to its provider: the symbol on the wire, or base and quote where it takes the two apart.

    `listed` (YYYY-MM-DD) tells a symbol from the one that had it before; None for the first that was met.
    """

    symbol: str
    base: str | None = None
    quote: str | None = None
    listed: str | None = None

    @property
    def is_pair(self) -> bool:
        """Whether it is one currency, metal or coin in another."""
        return self.base is not None


def normalize_pair(text: str, provider: str = "") -> str:
    """The stored name of what was typed. InputError for what cannot be a name."""
    return _stored(text, provider) if isinstance(text, str) else stored_name(provider, identity_of(provider, text))


@lru_cache(maxsize=65_536)
def _stored(text: str, provider: str) -> str:
    return stored_name(provider, identity_of(provider, text))


def identity_of(provider: str, text: str) -> Identity:
    """What a text names at a provider, typed or stored, by its form alone. InputError for what cannot be a name.

    It looks nothing up: a name that a catalogue would know better (BRK.B for BRK-B) is taken as it stands.
    """
    return _read(provider, _checked(text))


@lru_cache(maxsize=8192)
def stored_name(provider: str, identity: Identity) -> str:
    """The name under which an instrument is stored; `identity_of` leads from it back to the same instrument."""
    fitting = (name for name in _candidates(provider, identity) if _read(provider, name) == _bare(identity))
    name = next((name for name in fitting if _is_name(name)), None)
    if name is None:
        raise InputError(f"{_shown(identity.symbol)} cannot be stored under a name of its own", field="pair")
    return f"{name}@{identity.listed}" if identity.listed else name


def split_pair(pair: str, provider: str = "") -> tuple[str, str] | None:
    """Base and quote of a stored pair; None when it has none (a share, a future)."""
    found = _identity(provider, pair)
    return (found.base, found.quote) if found.base and found.quote else None


@lru_cache(maxsize=65_536)
def asset_class(pair: str, provider: str = "") -> AssetClass:
    """Which kind of market a stored pair trades in, as far as its name says."""
    parts = split_pair(pair, provider)
    if parts is None:
        return "crypto" if provider in CRYPTO_EXCHANGES else "equity"
    base, _ = parts
    if base in STATES:
        return "fx"
    if base in METALS:
        return "metal"
    if base in COMMODITIES or re.fullmatch(r"[A-Z]+[0-9]+", base):
        return "index"
    return "crypto"


def likely_name(text: str) -> str:
    """The stored name that was probably meant where no provider is named. InputError as `normalize_pair`."""
    names, typed = spellings(text), _checked(text)
    return typed if typed in names else names[0]


def spellings(text: str) -> tuple[str, ...]:
    """Every stored name that a typed one can stand for, at any provider. InputError as `normalize_pair`."""
    return tuple(dict.fromkeys(normalize_pair(text, provider) for provider in JOINED))


def compact(text: str) -> str:
    """Letters and digits alone, upper case: what spellings of the same name have in common."""
    return re.sub(r"[^A-Z0-9]", "", text.upper())


def parts_of(text: str) -> tuple[str, ...]:
    """What separators part, whichever they are: BRK.B and BRK-B have the same parts, BRKB has not."""
    return tuple(re.split(r"[^A-Z0-9]+", text.strip().upper()))


def _candidates(provider: str, identity: Identity) -> tuple[str, ...]:
    if identity.base is not None and identity.quote is not None:
        base, quote = _escaped(identity.base), _escaped(identity.quote)
        return f"{base}{quote}", f"{base}{_JOINTS.get(provider, _JOINT)}{quote}"
    symbol = _escaped(identity.symbol)
    written_out = "".join(one if one.isalnum() else f"~{ord(one):02X}" for one in identity.symbol)
    return symbol, symbol + _HOME, written_out, written_out + _HOME


def _bare(identity: Identity) -> Identity:
    return Identity(identity.symbol, identity.base, identity.quote)


@lru_cache(maxsize=8192)
def _identity(provider: str, name: str) -> Identity:
    return _read(provider, name)


def _read(provider: str, name: str) -> Identity:
    listed = _LISTED.search(name)
    found = _read_symbol(provider, name[: listed.start()] if listed else name)
    return Identity(found.symbol, found.base, found.quote, listed[1]) if listed else found


def _read_symbol(provider: str, name: str) -> Identity:
    if joint := _JOINTS.get(provider):
        return _read_joined(name, joint)
    parts = _SEPARATORS.split(name)
    if len(parts) == 2 and _is_pair(parts[0], parts[1], name[len(parts[0])]):
        return _pair(parts[0], parts[1], "/")
    if len(parts) == 1 and (found := _split(name)):
        return _pair(*found, "/")
    bare = name.removesuffix(_HOME)
    return Identity(_unescaped(bare if bare != name and "~" not in bare and _split(bare) else name))


def _read_joined(name: str, joint: str) -> Identity:
    parts = _SEPARATORS.split(name)
    if len(parts) == 1:
        found = _split(name)
        return _pair(*found, joint) if found else Identity(_unescaped(name))
    if len(parts) == 2 and all(_CODE.fullmatch(part) for part in parts):
        return _pair(parts[0], parts[1], joint)
    return Identity(_unescaped(joint.join(parts)))


def _pair(base: str, quote: str, joint: str) -> Identity:
    return Identity(f"{base}{joint}{quote}", base, quote)


def _is_pair(base: str, quote: str, joint: str) -> bool:
    """Hyphens and spaces stand in symbols too (BRK-B, SO 6.75), so there the quote must be a known one."""
    if not (_CODE.fullmatch(base) and _CODE.fullmatch(quote)) or quote.isdigit():
        return False
    return quote in KNOWN if joint in "- " else len(quote) >= _SHORTEST_QUOTE


def _split(name: str) -> tuple[str, str] | None:
    """Base and quote of a name without separators; None when it has no known quote."""
    for quote in QUOTES:
        base = name.removesuffix(quote)
        if base != name and len(base) >= 2 and _CODE.fullmatch(base):
            return base, quote
    half = len(name) // 2
    return (name[:half], name[half:]) if len(name) == 6 and {name[:half], name[half:]} <= STATES else None


def _checked(text: str) -> str:
    name = " ".join(text.upper().split()) if isinstance(text, str) else ""
    if not _is_name(name):
        raise InputError(
            f"{_shown(text)} cannot be a pair; use a name like BTCUSD, BTC-USD, EUR_USD, BRK-B, TSCO.LON or AAPL",
            field="pair",
        )
    return "".join(one if one in "-_/~@ " else _escaped(one) for one in name)


def _is_name(name: str) -> bool:
    """Characters that some symbol has, none of them hidden, not digits alone, and dots that a folder can bear."""
    letters = re.sub(r"[^A-Z0-9]", "", name)
    if not letters or letters.isdigit() or len(name) > LONGEST:
        return False
    plain = _LISTED.sub("", name)
    is_written = "@" not in plain and "~" not in _WRITTEN_OUT.sub("", plain) and _unescaped(plain).isprintable()
    return bool(_TYPED.fullmatch(name)) and is_written and plain[0] != "." and plain[-1] != "." and ".." not in plain


def _escaped(symbol: str) -> str:
    return "".join(one if _PLAIN.fullmatch(one) else f"~{ord(one):02X}" for one in symbol)


def _unescaped(name: str) -> str:
    return _WRITTEN_OUT.sub(lambda found: chr(int(found[1], 16)), name)


def _shown(pair: object) -> str:
    text = repr(pair)
    return text if len(text) <= 60 else text[:57] + "..."
