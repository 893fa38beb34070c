The preview of a plan's retention says what deleting incremental backups frees: by the next prunes, and only after packs have been
rewritten.
