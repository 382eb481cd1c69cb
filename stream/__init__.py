"""Decisions in, alerts out: combine, windows, episodes, the pipeline, and the Faust shell that feeds it."""
