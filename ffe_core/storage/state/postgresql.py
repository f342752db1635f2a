"""PostgreSQL behind the state database: how its connections begin, and one writer at a time as in a SQLite file.

What a transaction that writes has read first stays true to its end: it holds a lock that all writers of the program
take, for as long as the transaction lasts. Such a lock means the same behind a pooler that lends a connection for one
transaction, which a lock of a session does not, and prepared statements, which break there, are not used
(https://www.pgbouncer.org/features.html).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from ffe_core.errors import DatabaseError
from ffe_core.storage.files import strict_json
from ffe_core.storage.sqlite_faults import Fault
from ffe_core.storage.state import faults

_WRITERS = 0x_FFE_0002
"""Number of the advisory lock that whoever writes holds."""
_IDLE_SECONDS = 10
"""After which the server ends a writer that does nothing, such as one that was stopped: sooner than others give up."""
_BEGIN_WRITE = (
    f"SET LOCAL lock_timeout = '{faults.BUSY_SECONDS}s';"
    f" SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s';"
    f" SELECT pg_advisory_xact_lock({_WRITERS})"
)
_BEGIN_BRIEF = (  # one that was stopped between its statement and its end is gone before others give up
    "SET LOCAL idle_in_transaction_session_timeout = '2s'; SET LOCAL lock_timeout = '4s';"
    " SET LOCAL statement_timeout = '5s';"
    # A lease or a slot that was handed out and forgotten in a crash of the server would be handed out twice.
    " SET LOCAL synchronous_commit = on"
)
_CONNECT = {
    "connect_timeout": 5,
    "prepare_threshold": None,
    "application_name": "ffe",
    "client_encoding": "utf8",  # else the server's, and psycopg gives bytes where that is SQL_ASCII
    # A server that went without a word is noticed in half a minute instead of two hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


def is_server(url: sa.URL) -> bool:
    """Whether an address is one of PostgreSQL."""
    return url.get_backend_name() == "postgresql"


def connect(url: sa.URL, *, user_timeout: int = 20_000, **options: Any) -> sa.Engine:
    """An engine for a server, whose silence counts as its end after so many milliseconds. DatabaseError if what speaks
    to it is not installed."""
    try:
        engine = sa.create_engine(
            url,
            connect_args=_CONNECT | {"tcp_user_timeout": user_timeout},
            isolation_level="READ COMMITTED",
            json_serializer=strict_json,  # the server checks that it is JSON, which has no NaN
            **options,
        )
    except ModuleNotFoundError:
        raise DatabaseError(
            f"the database {faults.place_of(url)} needs the package psycopg;"
            " install it with pip install 'ffe-console[postgresql]', then start again",
            faults.CODE + Fault.UNUSABLE,
        ) from None
    sa.event.listen(engine, "connect", _with_plain_numbers)
    sa.event.listen(engine, "before_cursor_execute", _without_nul, retval=True)
    return engine


def check_encoding(connection: sa.Connection) -> None:
    """DatabaseError if the database cannot keep every character, as it is one of another encoding than UTF8."""
    found = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if found != "UTF8":
        raise faults.of_another_encoding(connection.engine.url, found)


def begin(connection: sa.Connection) -> None:
    """Let whoever will write wait for the writer before, and lock out the next; for the event `begin` of an engine."""
    if connection.get_execution_options().get("ffe_writes"):
        connection.exec_driver_sql(_BEGIN_WRITE)


def begin_brief(connection: sa.Connection) -> None:
    """Let a transaction wait for no other for long, and none for it, beside those that write."""
    connection.exec_driver_sql(_BEGIN_BRIEF)


def size(connection: sa.Connection) -> int:
    """Bytes of the database."""
    return int(connection.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)


def _with_plain_numbers(connection: Any, _: Any) -> None:
    """Sums and means are whole numbers and floats as they are in a file, not decimals."""
    from psycopg.adapt import Loader

    class Number(Loader):
        def load(self, data: Any) -> int | float:
            text = bytes(data).decode()
            return int(text) if text.lstrip("-").isdigit() else float(text)

    connection.adapters.register_loader("numeric", Number)


def _without_nul(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
    """A text of this server cannot hold the character NUL, which a broken answer or a file name may."""
    return statement, _cleaned(parameters)


def _cleaned(parameters: Any) -> Any:
    if isinstance(parameters, str):
        return parameters.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(parameters, list | tuple):
        return type(parameters)(map(_cleaned, parameters))
    if isinstance(parameters, dict):
        return {name: _cleaned(value) for name, value in parameters.items()}
    return parameters
