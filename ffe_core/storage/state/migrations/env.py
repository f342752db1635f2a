"""Alembic's entry: run revisions over the connection that `upgrade` hands in, inside its transaction."""

from alembic import context

if hasattr(context, "config"):  # not when somebody merely imports every module
    context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()
