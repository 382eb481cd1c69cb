"""Decides about each request and says so: limits, what the enforcer put in force, and a row for every decision."""
