Sizes count the packs of incremental backups: a storage says how much of it are backups, attachments and what is no longer needed
(*Stored* is called *Backups* there); a backup, which packs it needs and whether they are there; a run, how much was new. The health
answer, the metrics, `odoo backup run --all` and `status --all` give the size of the whole backup, not of its archive alone.
