"""What Alembic runs: the migrations, on the connection that `database.upgrade` has opened and locked."""

from __future__ import annotations

from alembic import context

from enforcer.store.tables import META

context.configure(
    connection=context.config.attributes["connection"], target_metadata=META, version_table="store_version"
)
context.run_migrations()
