Backups go to any number of storages: local directories, S3 and everything that speaks it, SFTP, and
whatever rclone reaches. Each copy is verified at the far end, and an interrupted upload goes on.
