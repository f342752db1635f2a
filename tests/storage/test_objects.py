"""Do the few verbs on an object store come to the same however often they are tried, and say in words why not?"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ffe_core.errors import StorageError, StoreUnfit, StoreUnreachable
from ffe_core.settings import Settings
from ffe_core.storage import probe
from ffe_core.storage.objects import Objects
from ffe_core.storage.waiting import waits_on
from tests.object_store import SECRET, Proxy, Store

pytestmark = [pytest.mark.slow, pytest.mark.of_a_lake_folder("each names its store itself")]
ODD = "dlq/2024-01-01T00-00-00.000000+00-00_a%41 b#?ü.json"


def at(store: Store, url: str | None = None, address: str | None = None, **more: Any) -> Objects:
    """Objects below a new address, with fewer retries where nothing answers."""
    place = address or store.address()
    settings = Settings.load({"lake_uri": place, "store": {**store.settings(url), **more}})
    return Objects(place, {**settings.lake_options, "max_retries": "1", "connect_timeout": "2s"})


@pytest.fixture
def objects(object_store: Store) -> Objects:
    return at(object_store)


def test_a_name_is_written_once(objects: Objects) -> None:
    assert objects.create(ODD, b"mine")
    assert objects.create(ODD, b"mine"), "the answer of the first may have been lost"
    assert not objects.create(ODD, b"theirs")
    assert objects.get(ODD) == b"mine"
    found = objects.head(ODD)
    assert found is not None
    assert objects.listed("dlq") == [found]
    assert objects.listed("dl") == []


def test_what_is_not_there_is_told(objects: Objects) -> None:
    assert objects.head("none") is None
    with pytest.raises(FileNotFoundError):
        objects.get("none")
    objects.delete(["none"])


def test_more_than_a_store_lists_at_once_are_listed(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffe_core.storage.objects._PAGE", 2)
    for number in range(5):
        objects.put(f"many/{number}", b"")
    assert [one.key for one in objects.listed("many")] == [f"many/{number}" for number in range(5)]


def test_a_put_whose_answer_was_lost_is_found_out(object_store: Store, store_proxy: Proxy) -> None:
    objects = at(object_store, store_proxy.url)
    store_proxy.loses = "/once"
    assert objects.create("once", b"mine")
    assert store_proxy.loses is None
    assert objects.get("once") == b"mine"


VERBS: dict[str, Callable[[Objects], object]] = {
    "create": lambda objects: objects.create("x", b"1"),
    "put": lambda objects: objects.put("x", b"1"),
    "get": lambda objects: objects.get("x"),
    "list": lambda objects: objects.listed(),
    "head": lambda objects: objects.head("x"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_store_that_is_gone_is_said_with_its_host(object_store: Store, verb: str) -> None:
    with pytest.raises(StoreUnreachable) as caught:
        VERBS[verb](at(object_store, "http://127.0.0.1:9"))
    assert "at 127.0.0.1:9 cannot be reached" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "head"])
def test_a_bucket_that_is_missing_is_said(object_store: Store, verb: str) -> None:
    with pytest.raises(StorageError, match=r"there is no such bucket at 127\.0\.0\.1"):
        VERBS[verb](at(object_store, address="s3://elsewhere/lake"))


@pytest.mark.parametrize("verb", VERBS)
def test_missing_credentials_are_said(object_store: Store, verb: str) -> None:
    own = {"access_key_id": "", "secret_access_key": ""}
    settings = Settings.load({"lake_uri": "s3://candles/lake", "store": {**object_store.settings(), **own}})
    bare = {**settings.lake_options, "max_retries": "0", "aws_metadata_endpoint": "http://127.0.0.1:9"}
    with pytest.raises(StorageError, match="no credentials were found; set AWS_ACCESS_KEY_ID"):
        VERBS[verb](Objects("s3://candles/lake", bare))


def test_a_store_that_comes_back_is_waited_for(object_store: Store, store_proxy: Proxy) -> None:
    objects = at(object_store, store_proxy.url)
    objects.put("x", b"1")
    store_proxy.is_gone = True
    answers: list[bytes] = []

    def patient() -> None:
        waits_on.set(lambda waited: waited < 60)
        answers.append(objects.get("x"))

    waiting = threading.Thread(target=contextvars.copy_context().run, args=(patient,))
    waiting.start()
    with pytest.raises(StoreUnreachable):
        objects.get("x")
    assert waiting.is_alive()
    store_proxy.is_gone = False
    waiting.join(30)
    assert answers == [b"1"]


class TestProbe:
    def test_a_store_that_keeps_the_first_passes_once_a_process(self, object_store: Store, store_proxy: Proxy) -> None:
        objects = at(object_store, store_proxy.url)
        probe.require_conditional_puts(objects)
        asked = len(store_proxy.asked)
        assert 3 <= asked <= 6
        probe.require_conditional_puts(objects)
        assert len(store_proxy.asked) == asked
        assert objects.listed() == [], "nothing is left of it"

    def test_one_that_takes_the_second_is_refused_and_left_clean(self, object_store: Store, store_proxy: Proxy) -> None:
        objects = at(object_store, store_proxy.url)
        store_proxy.drops = ("if-none-match",)
        for _ in range(2):
            with pytest.raises(StoreUnfit, match="honours If-None-Match"):
                probe.require_conditional_puts(objects)
        assert objects.listed() == []

    def test_what_a_killed_probe_left_goes_when_it_is_old(
        self, objects: Objects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        objects.put(f"{probe.FOLDER}/left", b"first")
        probe._probe(objects)
        assert [one.key for one in objects.listed()] == [f"{probe.FOLDER}/left"]
        monkeypatch.setattr(probe, "_LEFT_OVER_SECONDS", -5)
        probe._probe(objects)
        assert objects.listed() == []
