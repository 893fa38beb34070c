A restore of an incremental backup from a bucket or an SFTP server fetches two packs at a time, which is faster where the server is far away.
