Plans prove that their backups restore: by hand or on a schedule, into a scratch database that is compared, booted and dropped.
