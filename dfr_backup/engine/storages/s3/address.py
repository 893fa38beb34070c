"""Where a bucket is: by the settings of a record, or by an address."""

from collections.abc import Mapping
from shlex import quote
from urllib.parse import SplitResult

from ..by_hand import ByHand
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


def by_hand(config: S3Config) -> ByHand:
    """Return how a person reaches the bucket: with the variables of all of S3's
    clients, and rclone, which takes what most servers are like."""
    given = {
        "AWS_ACCESS_KEY_ID": config.access_key,
        "AWS_REGION": config.region,
        "AWS_ENDPOINT_URL": config.endpoint,
    }
    options = {"provider": "Other" if config.endpoint else "AWS", "env_auth": "true"}
    options |= {"region": config.region, "endpoint": config.endpoint}
    shown = ",".join(f'{name}="{text}"' for name, text in options.items() if text)
    source = quote(f":s3,{shown}:{config.bucket}/{config.folder}")
    trust = ' --ca-cert "$AWS_CA_BUNDLE"' if config.ca_bundle else ""
    asked = [
        *([] if config.access_key else ["AWS_ACCESS_KEY_ID"]),
        *(["AWS_CA_BUNDLE"] if config.ca_bundle else []),
    ]
    return ByHand(
        f'rclone copy{trust} {source}"$1" files/',
        is_addressed=True,
        given={name: value for name, value in given.items() if value},
        asked=asked,
        secrets=["AWS_SECRET_ACCESS_KEY"],
    )
