"""Who is told of incidents, what, and that it is told once (docs/notices.md, ADR 0040)."""
