A restore unpacks the attachment files while the database is loaded.
