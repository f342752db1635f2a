"""moto's S3 server, whose objects can be made to look older, and copied at once: run with its port, as a process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import run_simple

WRITTEN = "/_written"
"""Where a bucket's name, and by the key of an object when it was written in epoch seconds, are taken as JSON."""
COPIED = "/_copied"
"""Where a bucket's name and two beginnings of keys, `from` and `to`, are taken so: all that has the first is copied."""
_moto = DomainDispatcherApplication(create_backend_app)


def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """As moto does, but for those two addresses."""
    if environ["PATH_INFO"] not in (WRITTEN, COPIED):
        return _moto(environ, start_response)  # type: ignore[no-any-return]
    told = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    keys = store.buckets[told["bucket"]].keys
    for key, seconds in told.get("written", {}).items():
        keys[key].last_modified = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    for key in [key for key in keys if "from" in told and key.startswith(f"{told['from']}/")]:
        made = store.put_object(told["bucket"], told["to"] + key.removeprefix(told["from"]), keys[key].value)
        made.last_modified = keys[key].last_modified
    start_response("204 No Content", [])
    return []


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), answer, threaded=True, request_handler=MotoRequestHandler)
