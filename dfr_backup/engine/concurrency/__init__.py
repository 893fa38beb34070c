"""Threads and child processes: the one place that starts them."""
