"""The dump: cut into statements and rows, and loaded by several sessions at once."""
