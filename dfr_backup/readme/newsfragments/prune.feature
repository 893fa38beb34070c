Packs of attachments that no incremental backup needs any more are deleted once a day, by ``odoo backup prune`` and by *Prune* at a storage; ``--dry-run`` shows them.
