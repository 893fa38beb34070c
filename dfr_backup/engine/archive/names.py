"""What the members of an archive are called."""

DUMP = "dump.sql"
INDEX = "attachments.jsonl"  # see index.py
FILESTORE = "filestore/"
ADDONS = "addons/"
CHECKSUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
CLOSING = (CHECKSUMS, MANIFEST)  # about the others: always written anew
