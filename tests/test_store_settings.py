"""Do the settings of an object store reach its libraries, and never a page, a log or an address?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ffe_core.errors import InputError
from ffe_core.operations.settings.explained import explained
from ffe_core.redaction import redact
from ffe_core.settings import Settings

KEY = {"access_key_id": "AKIA-plain-word", "secret_access_key": "s3cr3t-of-the-store"}


def options(uri: str, **store: Any) -> dict[str, str]:
    return Settings.load({"lake_uri": uri, "store": store}).lake_options


def test_those_of_a_scheme_reach_its_library() -> None:
    more = {"endpoint_url": "https://store.example/", "region": "eu-central-1", "session_token": "token-of-a-day"}
    assert options("s3://b/lake", **KEY, **more, path_style=False) == {
        "aws_access_key_id": KEY["access_key_id"],
        "aws_secret_access_key": KEY["secret_access_key"],
        "aws_endpoint_url": "https://store.example",
        "aws_region": "eu-central-1",
        "aws_session_token": "token-of-a-day",
        "aws_virtual_hosted_style_request": "true",
    }
    azure = {"account_name": "box", "account_key": "key-of-the-box", "sas_token": "sig=of-the-box"}
    assert options("az://b/lake", **azure) == {
        "azure_storage_account_name": "box",
        "azure_storage_account_key": "key-of-the-box",
        "azure_storage_sas_token": "sig=of-the-box",
    }


def test_a_service_account_is_a_file_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "account.json"
    with pytest.raises(InputError, match="FFE_STORE__SERVICE_ACCOUNT_FILE"):
        options("gs://b/lake", service_account_file=str(file))
    file.write_text("{}")
    assert options("gs://b/lake", service_account_file=str(file)) == {"google_service_account": str(file)}


def test_nothing_is_told_of_a_local_folder_or_where_nothing_is_set(tmp_path: Path) -> None:
    assert options(str(tmp_path), **KEY) == {}
    assert options("s3://b/lake") == {}


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ({"access_key_id": "AKIA-plain-word"}, "access_key_id is set and secret_access_key is not"),
        ({"secret_access_key": "s3cr3t-of-the-store"}, "secret_access_key is set and access_key_id is not"),
        ({"endpoint_url": "http://store.example"}, "FFE_STORE__ALLOW_HTTP=true"),
        ({"endpoint_url": "store.example"}, "http:// or https://"),
        ({"endpoint_url": "https://me:s3cr3t-of-the-store@store.example"}, "must hold no credentials"),
        ({"allow_http": "perhaps"}, "FFE_STORE__ALLOW_HTTP"),
    ],
)
def test_what_cannot_be_is_said_without_a_secret(store: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        options("s3://b/lake", **store)
    assert words in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_a_secret_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEY.items():
        monkeypatch.setenv(f"FFE_STORE__{name.upper()}", value)
    settings = Settings.load({"lake_uri": "s3://b/lake"})
    assert "s3cr3t" not in repr(settings)
    assert redact("asked with s3cr3t-of-the-store") == "asked with ***"
    told = {one.variable: one for one in explained(settings)}
    assert "s3cr3t" not in "".join(one.value for one in told.values())
    assert not any(one.is_stale for one in told.values())
    assert told["FFE_STORE__SECRET_ACCESS_KEY"].value.startswith("set")
