*Rewrite Now*, at a storage with incremental backups: the next run stores again what it needs of packs of which a part is no longer needed, or that are small.
