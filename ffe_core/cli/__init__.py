"""The command line: one file a verb, one line in the table of `parser`.

Results go to stdout (`--json`: one document), progress and logs to stderr. Exit 0 when all succeeded or had nothing to
do, 1 when a series failed or nothing of it passed the rules, 2 for wrong usage, 128 and the number of a signal that
interrupted it: 130 for Ctrl-C, 143 for SIGTERM, 129 for a closed terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ffe_core.cli import interruption, output
from ffe_core.cli.output import FAILED, OK, USAGE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status. Whatever is raised becomes one sentence."""
    words = sys.argv[1:] if argv is None else list(argv)
    output.begin(words)
    try:
        status = _run(words)
    except KeyboardInterrupt:
        output.fail(interruption.sentence(), interruption.status(), "interrupted")
        return interruption.status()
    output.tell_repeats()
    output.tell_interruption()
    return status if interruption.came() is None else interruption.status()


def _run(words: Sequence[str]) -> int:
    from ffe_core.cli.parser import parser
    from ffe_core.errors import FFEError, InputError

    try:
        _check_text(words)
        arguments = parser(words).parse_args(words)
        from ffe_core.cli import common, logs

        with logs.logged(verbose=arguments.verbose):
            _have_descriptors()
            _check_settings()
            with common.at_end:
                return int(arguments.run(arguments))
    except SystemExit as end:  # argparse has printed its help
        return int(end.code or OK)
    except InputError as error:
        return output.fail(str(error), USAGE, error.code)
    except FFEError as error:
        return output.fail(str(error), FAILED, error.code)
    except Exception as error:
        from ffe_core.cli import logs

        story = logs.kept((type(error), error, error.__traceback__))
        return output.fail(f"unexpected {type(error).__name__}: {error}; {story}", FAILED, "unexpected")


def _check_text(words: Sequence[str]) -> None:
    """InputError for an argument with bytes that are no text in this process's encoding: no database would take it."""
    from ffe_core.errors import InputError

    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{word!a} holds bytes that are no {sys.getfilesystemencoding()} text; write it in UTF-8, with a locale"
                " such as LC_ALL=C.UTF-8"
            ) from None


def _have_descriptors() -> None:
    """StorageError if this process may open too few files at once, however far its limit is raised."""
    from ffe_core.descriptors import FEWEST, raise_descriptor_limit
    from ffe_core.errors import StorageError

    limit = raise_descriptor_limit()
    if limit is not None and 0 <= limit < FEWEST:  # -1 is none
        raise StorageError(
            f"only {limit} files may be open at once; raise the limit to {FEWEST} or more with ulimit -n"
        )


def _check_settings() -> None:
    """InputError for a wrong value of any section before there is work; a slip in a name is said, and changes nothing.

    A warning, as an environment is shared: another program's variable, or a newer version's, must not stop a cron job.
    """
    from ffe_core.settings import Settings, unknown_settings

    Settings.load().check_sections()
    for sentence in unknown_settings():
        output.warn(sentence)
