Stored backups can be looked into: tables with their rows, custom addons, attachments by name, model and record; one attachment
is fetched without a restore, also from an encrypted archive in a bucket. Two backups can be compared.
