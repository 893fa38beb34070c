Graph and pivot of the runs show the average size (MiB) and duration (minutes) of the backups of a day.
