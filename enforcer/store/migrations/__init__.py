"""How the tables came to be, step by step (Alembic). `versions/` is only ever added to."""
