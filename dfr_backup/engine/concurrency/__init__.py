"""Threads that share work, work beside the caller's, and child processes."""
