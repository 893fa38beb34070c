"""Files: durable writes, reads past the page cache, folders of one process."""
