"""Error codes: the kind of an error and of a next step, beside the sentences that release 0.1.0 stored alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_NEXT_STEPS = {
    "the provider does not reach back that far; choose another provider or a later start": "choose_later_start",
    "look at the gaps, then fetch them again or mark them": "look_at_gaps",
    "asking again would give the same answer: mend the request or the credentials": "change_request",
    "asking again would give the same answer: change the request or the credentials": "change_request",
    "retry failed when the provider's quota has reset": "wait_for_quota",
    "retry failed: it picks up where the marks stand": "retry_failed",
    "wait for the run that holds it, then retry failed": "wait_for_holder",
    "see the log lines, then retry failed": "see_log",
    "mend what still fails, then replay it": "edit_and_replay",
    "see what it says, then start it again: what has landed is not stored twice": "start_again",
}
"""The sentences of release 0.1.0, and of what was published before this revision."""


def upgrade() -> None:
    """Add the columns, and give the next steps on record their codes; what is not known stays a sentence."""
    op.add_column("runs", sa.Column("error_code", sa.String))
    op.add_column("run_series", sa.Column("error_code", sa.String))
    op.add_column("run_series", sa.Column("next_step_code", sa.String))
    series = sa.table("run_series", sa.column("next_step", sa.String), sa.column("next_step_code", sa.String))
    for sentence, code in _NEXT_STEPS.items():
        op.execute(series.update().where(series.c.next_step == sentence).values(next_step_code=code))
