"""Is whatever the lake's libraries say when they fail one plain sentence with the place and a next step, in time?"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ffe_core.errors import StorageError
from ffe_core.storage.lake import faults
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_REGION": "us-east-1"}
ANSWERS = {
    "refused": (403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"),
    "no_bucket": (404, "<Error><Code>NoSuchBucket</Code><Message>no</Message></Error>"),
    "broken": (503, "<Error><Code>SlowDown</Code></Error>"),
}


@contextmanager
def object_store(status: int, body: str, wait: float = 0.0) -> Iterator[str]:
    """The address of a local object store that answers everything in one way, after `wait` seconds."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ended.wait(wait)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        ended.set()
        server.shutdown()


def said(options: dict[str, str]) -> str:
    lake = DeltaLakeManager("s3://nobody/lake", {"AWS_ALLOW_HTTP": "true", **options})
    with pytest.raises(StorageError) as caught:
        lake.snapshot("raw_market_data_1h")
    text = str(caught.value)
    assert text.isprintable(), "no colours, no lines"
    assert "s3://nobody/lake" in text
    return text


def test_a_lake_without_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said({})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("refused", "refused the credentials; check AWS_ACCESS_KEY_ID"),
        ("no_bucket", "there is no such bucket"),
        ("broken", "does not answer; check address and network"),
    ],
)
def test_what_an_object_store_answers_is_said_with_its_host(answer: str, words: str) -> None:
    with object_store(*ANSWERS[answer]) as url:
        text = said({**KEYS, "AWS_ENDPOINT_URL": url, "max_retries": "1"})
    assert words in text
    assert url.removeprefix("http://") in text


def test_a_host_that_is_gone_is_given_up_on_in_time() -> None:
    began = time.monotonic()
    text = said({**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert "at 127.0.0.1:9 cannot be reached" in text
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("figure", ["403.641643ms", "401ms", "1.403s", "503.2µs"])
@pytest.mark.parametrize("host", ["127.0.0.1:9", "127.0.0.1:403", "10.0.401.3", "lake.example:503"])
def test_digits_of_a_duration_or_an_address_are_no_status(figure: str, host: str) -> None:
    error = OSError(
        f"Generic S3 error\n ↳ Error performing GET http://{host}/nobody/lake in {figure}, after 3 retries, max_retries"
        "\n ↳ 3, retry_timeout\n ↳ 60s  - HTTP error\n ↳ error sending request\n ↳ Connection refused (os error 111)"
    )
    text = faults.sentence("the table cannot be read", "s3://nobody/lake", error)
    assert f"at {host} cannot be reached" in text


@pytest.mark.slow
def test_a_host_that_never_answers_is_given_up_on_in_time() -> None:
    began = time.monotonic()
    with object_store(200, "", wait=60) as url:
        assert "does not answer" in said({**KEYS, "AWS_ENDPOINT_URL": url, "timeout": "1s"})
    assert time.monotonic() - began < 30


@pytest.mark.of_a_lake_folder("a folder is compared with a store")
def test_only_an_object_store_gets_time_outs_and_what_is_given_wins() -> None:
    assert DeltaLakeManager("/data/lake").storage_options is None
    given = DeltaLakeManager("s3://b/lake", {"timeout": "9s"}).storage_options
    assert given == {**faults.BOUNDS, "timeout": "9s"}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "the disk is full"),
        (OSError(30, "Read-only file system"), "read-only"),
        (PermissionError(13, "Permission denied"), "no right"),
        (OSError(24, "Too many open files"), "ulimit"),
        (OSError("status 403 in part-00500"), "status 403 in part-00500"),
    ],
)
def test_a_local_disks_trouble_is_said_in_words(error: OSError, words: str) -> None:
    assert words in faults.sentence("the table cannot be read", "/data/lake", error)


def test_a_long_text_in_colours_and_lines_becomes_one_short_line() -> None:
    error = OSError("Kernel error\n \x1b[31m↳\x1b[0m first\n   \x1b[31m↳\x1b[0m " + "x" * 5000)
    text = faults.sentence("the table cannot be read", "/data/lake", error)
    assert text.startswith("the table cannot be read: Kernel error : first : xxx")
    assert len(text) < 400
    assert text.isprintable()


def test_a_panic_of_rust_is_a_storage_error() -> None:
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(StorageError, match="cannot be read: told"), faults.in_words("cannot be read", "/lake"):
        raise panic("told")
