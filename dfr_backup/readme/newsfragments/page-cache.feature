A backup leaves the server's page cache as it was: the archive is written, and encrypted, round it, and attachment files that nobody else had read are let go.
