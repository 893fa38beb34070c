"""The attachment files of an archive, with nothing to do meanwhile."""

from dfr_backup.engine.restore.files import FilestoreExtraction


def extract_filestore(archive, target, progress, **options):
    """Write them to ``target`` and wait for that; return what was unpacked."""
    with FilestoreExtraction(archive, target, **options) as extraction:
        return extraction.finish(progress)
