"""Where a bucket is: by the settings of a record, or by an address."""

from collections.abc import Mapping
from urllib.parse import SplitResult

from ..kind import Settings
from .config import PRESETS, S3Config


def config_of(settings: Settings) -> S3Config:
    """Return what a record says. Raise PermanentError."""
    value, preset = settings.value, PRESETS.get(settings.value("preset"))
    return S3Config(
        bucket=value("bucket"),
        prefix=value("prefix"),
        endpoint=value("endpoint"),
        region=value("region"),
        access_key=value("access_key"),
        secret_key=settings.secret("secret_key"),
        addressing=value("addressing"),
        ca_bundle=settings.server.certificate_path(value("ca_certificate")),
        storage_class=value("storage_class"),
        encryption=value("encryption"),
        kms_key=value("kms_key"),
        lock_mode=value("lock_mode"),
        lock_days=value("lock_days") if value("lock_mode") else 0,
        checksums=preset.checksums if preset else "auto",
        verify=value("verify"),
    )


def config_at(url: SplitResult, environ: Mapping[str, str]) -> S3Config:
    """Return what an address says. Raise PermanentError."""
    endpoint = (
        environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
    )
    return S3Config(
        bucket=url.netloc,
        prefix=url.path.strip("/"),
        endpoint=endpoint,
        region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "",
        ca_bundle=environ.get("AWS_CA_BUNDLE") or "",
        addressing="path" if endpoint else "auto",
    )
