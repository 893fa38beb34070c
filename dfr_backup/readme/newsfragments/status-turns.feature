`odoo backup status` says of each run that waits how many are before it on this server and when it probably begins, and sums up how many run and wait; `--json` has the same.
