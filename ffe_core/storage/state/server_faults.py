"""Sort the failures of a PostgreSQL server by what to do about them: by its own codes, never by its words."""

from __future__ import annotations

import sqlalchemy as sa

from ffe_core.storage.sqlite_faults import Fault

# Classes and codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_FAULTS = {
    "08": Fault.UNREACHABLE,
    "57P": Fault.UNREACHABLE,  # it shuts down, crashed, or starts
    "25P03": Fault.LOCKED,  # ended, as it kept others waiting
    "55P03": Fault.LOCKED,
    "57014": Fault.LOCKED,  # ended, as it took longer than who asked waits
    "40": Fault.LOCKED,
    "53300": Fault.UNREACHABLE,  # too many connections
    "53100": Fault.DISK_FULL,
    "25006": Fault.READ_ONLY,  # a standby
    "42501": Fault.READ_ONLY,
    "42": Fault.OTHER_TABLES,
    "58": Fault.DISK_FAILS,
    "XX": Fault.DAMAGED,
}


def is_of_server(error: BaseException) -> bool:
    """Whether an exception is one of PostgreSQL's driver, or of SQLAlchemy over it."""
    return hasattr(_cause(error), "sqlstate")


def fault_of(error: BaseException) -> Fault:
    """What is the matter, given such an exception."""
    cause = _cause(error)
    state = getattr(cause, "sqlstate", None)
    if state is None:  # nothing came from the server: there is no connection
        is_of_connection = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
        return Fault.UNREACHABLE if is_of_connection else Fault.UNUSABLE
    known = sorted((code for code in _FAULTS if state.startswith(code)), key=len)
    return _FAULTS[known[-1]] if known else Fault.UNUSABLE


def _cause(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
