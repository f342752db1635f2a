"""Import request: what a person asks for, and how it is kept with its run, so that the run can be continued."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ffe_core.errors import InputError
from ffe_core.files.plan import Target
from ffe_core.files.profile import Profile, Profiles, read_profile

_MOST_PATHS = 10_000
"""A request that names more paths one by one is not kept: a folder is one path."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What a person asks for: files or folders, where they go, and the answers they give."""

    files: tuple[str, ...]
    target: Target
    profile: str = ""
    answers: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a profile."""
    any_name: bool = False
    member: str = ""
    again: bool = False
    """Whether files that are known are read all the same."""
    reading: str = ""
    """The profile itself, as TOML, as it was when the run began; it wins over `profile`."""

    def chosen(self, profiles: Profiles) -> Profile | None:
        """The profile that was asked for. InputError for one that there is not."""
        if self.reading:
            return read_profile(self.reading, "the profile of the run")
        return profiles.get(self.profile) if self.profile else None

    def kept(self, profiles: Profiles) -> dict[str, Any] | None:
        """The request as JSON holds it, its paths whole; None for one of too many paths."""
        if len(self.files) > _MOST_PATHS:
            return None
        chosen = self.chosen(profiles)
        files = [str(Path(path).absolute()) for path in self.files]
        return {**asdict(self), "files": files, "reading": chosen.as_toml() if chosen else ""}


def kept_request(parameters: Mapping[str, Any]) -> ImportRequest:
    """The request of a run from its parameters. InputError where none was kept."""
    tree = parameters.get("request")
    if not tree:
        raise InputError(
            "what was asked for was not kept with the run; start it again from where it came from", field="run"
        )
    return ImportRequest(**{**tree, "files": tuple(tree["files"]), "target": Target(**tree["target"])})
