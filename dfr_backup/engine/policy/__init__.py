"""Decisions, as pure functions: the clock is an argument."""
