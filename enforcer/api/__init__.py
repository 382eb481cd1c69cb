"""The enforcer over HTTP: what was found and done, and the hand of people on it (docs/api.md)."""
