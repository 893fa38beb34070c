Attachments whose file is missing or damaged are listed by name and record, and can be put back from a backup that still has the
good file.
