"""Labelled traffic of a made-up site: people, machines and attacks, the same for the same seed."""
