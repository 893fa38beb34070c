"""The smallest policy with which a bucket can be used: what keys for it may do."""

from typing import Any

from .config import S3Config

LISTING = ["s3:ListBucket"]
LOOKING = [
    "s3:ListBucketMultipartUploads",  # a Ceph gateway knows no prefix of that
    "s3:GetLifecycleConfiguration",
    "s3:GetBucketObjectLockConfiguration",
]
STORING = [
    "s3:PutObject",
    "s3:GetObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
]
LOCKING = ["s3:PutObjectRetention", "s3:GetObjectRetention"]
ENCRYPTING = ["kms:GenerateDataKey", "kms:Decrypt"]


def smallest_policy(config: S3Config) -> dict[str, Any]:
    """Return the policy of the keys for this bucket and folder, as AWS and those like
    it read it."""
    bucket = f"arn:aws:s3:::{config.bucket}"
    listing = _allow(LISTING, bucket)
    if config.folder:
        listing["Condition"] = {"StringLike": {"s3:prefix": f"{config.folder}*"}}
    storing = [*STORING, *(LOCKING if config.lock_mode else [])]
    statements = [
        listing,
        _allow(LOOKING, bucket),
        _allow(storing, f"{bucket}/{config.folder}*"),
    ]
    if config.encryption == "aws:kms" and config.kms_key.startswith("arn:"):
        statements.append(_allow(ENCRYPTING, config.kms_key))
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(actions: list[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}
