"""What rclone reaches."""
