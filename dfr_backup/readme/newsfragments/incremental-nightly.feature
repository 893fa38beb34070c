The first incremental backup of a day reads a thirtieth of the older packs in each storage, and of the attachments on the server,
in full, so that damage is found within 30 days. A damaged pack is announced, its backups are marked as damaged, and its attachments are
stored again.
