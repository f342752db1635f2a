"""README tests: every verb, setting, page, state and provider stands there."""

import argparse
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from ffe_core.cli.parser import VERBS, parser
from ffe_core.provider_settings import SECTIONS
from ffe_core.providers import PROVIDERS
from ffe_core.settings import Settings, variable
from ffe_core.storage.state.runs import STATES
from pages.widgets.contents import LISTED

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def settings_of(model: type[BaseModel], *path: str) -> list[str]:
    """Names of all variables of a settings model, nested ones too."""
    found = []
    for name, field in model.model_fields.items():
        nested = field.annotation if isinstance(field.annotation, type) else object
        below = issubclass(nested, BaseModel)
        found += settings_of(nested, *path, name) if below else [variable(*path, name)]
    return found


def says(text: str) -> bool:
    """Whether the README has this text; a failure of `assert says(...)` does not print it whole."""
    return text in README


@pytest.mark.parametrize("name", settings_of(Settings))
def test_every_setting_is_in_the_readme(name: str) -> None:
    assert says(f"| `{name}` |"), f"README.md, Settings: a row for {name}"


@pytest.mark.parametrize("name", [name for one, model in SECTIONS.items() for name in settings_of(model, one)])
def test_every_setting_of_a_provider_is_in_the_readme(name: str) -> None:
    rate = name.endswith("__REQUESTS_PER_SECOND")
    assert says(f"| `{'FFE_<PROVIDER>__REQUESTS_PER_SECOND' if rate else name}` |"), (
        f"README.md, Settings: a row for {name}"
    )


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_is_in_the_readme(verb: str) -> None:
    assert says(f"| `{verb} "), f"README.md, Command line: a row for {verb}"


def commands() -> list[tuple[str, str]]:
    """Every verb with each verb below it, as the parsers know them."""
    found = []
    for verb in VERBS:
        found += [(verb, act) for act in below(below(parser([verb]))[verb])] or [(verb, "")]
    return found


def below(made: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    acts = [action for action in made._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: own for action in acts for name, own in action.choices.items()}


@pytest.mark.parametrize(("verb", "act"), commands(), ids=str)
def test_every_command_is_in_the_row_of_its_verb(verb: str, act: str) -> None:
    rows = re.findall(rf"^\| `{verb} .*$", README, re.MULTILINE)
    assert len(rows) == 1, f"README.md, Command line: a row for {verb}"
    [row] = rows
    assert re.search(rf"\b{act}\b", row), f"README.md, Command line: {act} in the row of {verb}"


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_every_provider_is_in_the_readme(name: str) -> None:
    assert says(f"| `{name}` |"), f"README.md, Providers: a row for {name}"


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_in_the_readme(state: str) -> None:
    assert says(f"`{state}`"), f"README.md, The console: the state {state}"


@pytest.mark.parametrize("title", [page.title for page in LISTED])
def test_every_page_is_in_the_readme(title: str) -> None:
    assert says(f"| {title} |"), f"README.md, The console: a row for {title}"


def test_a_setting_that_the_readme_lacks_would_be_found() -> None:
    assert not says(f"| `{variable('no', 'such_setting')}` |")
