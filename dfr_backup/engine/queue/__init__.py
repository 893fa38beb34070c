"""Which runs of a server, or of several on one host, may run at a time, and who is
next."""
