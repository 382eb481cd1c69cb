"""Decides what is done about an alert, keeps it within bounds, puts it in force at every limiter, and ends it."""
