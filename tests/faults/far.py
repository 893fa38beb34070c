"""What makes a lab store into a bucket, and encrypt."""

import secrets

from s3_servers import ACCESS_KEY, SECRET_KEY, client

BUCKET = """
storage = env["backup.storage"].create({{
    "name": "Bucket", "provider": "s3", "s3_endpoint": {url!r}, "s3_bucket": {bucket!r},
    "s3_addressing": "path", "s3_region": "us-east-1", "s3_access_key": {access_key!r},
    "s3_secret_key": {secret_key!r}, "timeout": 5, "retry_minutes": {retry_minutes}}})
storage.action_test()
env["backup.plan"].search([]).write({{"storage_ids": [(4, storage.id)]}})
result = storage.last_test_error
"""
LARGE = """
import random
env["ir.attachment"].create({"name": "larger", "raw": random.randbytes(12 << 20)})
"""  # more than one part of a multipart upload
ENCRYPT = """
from odoo.addons.dfr_backup.engine.encryption.files import generate_key
pair = generate_key()
env["backup.plan"].search([]).write({
    "encryption": "recipients",
    "age_recipients": pair.public,
    "age_identity": pair.private,
})
result = pair.private
"""


def add_bucket(lab, url, address=None, retry_minutes=1):
    """Let the plan store into a new bucket of the server at ``url`` as well, which
    Odoo reaches at ``address``, for example through a proxy."""
    name = f"test-{secrets.token_hex(6)}"
    direct = client(url)
    direct.create_bucket(Bucket=name)
    code = BUCKET.format(
        url=address or url,
        bucket=name,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        retry_minutes=retry_minutes,
    )
    error = lab.driver.do(code)
    assert not error, error
    lab.bucket = (direct, name)


def encrypt(lab):
    """Let the plan encrypt for a key that it has itself, so that it can drill."""
    lab.identity = lab.instance.folder / "key"
    lab.identity.write_text(lab.driver.do(ENCRYPT) + "\n")
