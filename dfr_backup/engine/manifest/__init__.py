"""The manifest in an archive and the sidecar beside it: written, read, signed."""
