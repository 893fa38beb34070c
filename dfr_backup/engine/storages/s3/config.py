"""What a bucket is reached with, and how the usual providers want to be reached."""

import re
from dataclasses import dataclass, field

from ...errors.s3 import (
    BadBucketName,
    BadChoice,
    BadEndpoint,
    BadPrefix,
    HalfOfTheKeys,
    LockWithoutDays,
    NothingParallel,
)
from ...messages import Message, _

ADDRESSING = ("auto", "path", "virtual")
CHECKSUMS = ("auto", "when_required")
ENCRYPTIONS = ("", "AES256", "aws:kms")
LOCK_MODES = ("", "GOVERNANCE", "COMPLIANCE")
VERIFY = ("auto", "read", "checksum")


@dataclass(frozen=True)
class S3Config:
    """A bucket, and the folder in it that ``prefix`` names. A blank ``endpoint`` is
    AWS.

    Blank keys mean boto3's own chain: environment, profile, instance role.
    ``ca_bundle`` is the path of a file with the certificates to trust (blank: the
    system's). ``encryption`` and ``lock_mode`` are what S3 calls them; ``lock_days`` is
    how long an object stays locked. ``parallel`` parts are under way at a time.
    ``checksums``: "auto" sends S3's newer checksums and does without where a server
    refuses them. ``verify``: "read" reads everything back, "checksum" compares the
    checksums that the server computed when it received the bytes, where they can be
    trusted, and "auto" does so at AWS only.

    Raise PermanentError for values that cannot be right.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    addressing: str = "auto"
    ca_bundle: str = ""
    storage_class: str = ""
    encryption: str = ""
    kms_key: str = ""
    lock_mode: str = ""
    lock_days: int = 0
    parallel: int = 4
    checksums: str = "auto"
    verify: str = "auto"

    def __post_init__(self) -> None:
        self._check_bucket()
        self._check_prefix()
        self._check_endpoint()
        self._check_credentials()
        self._check_choices()

    @property
    def folder(self) -> str:
        """What comes before the key of each object: blank, or a path that ends with
        "/"."""
        return self.prefix.rstrip("/") + "/" if self.prefix else ""

    @property
    def place(self) -> Message:
        """Where the bucket is, in words."""
        return Message(
            _("“%(bucket)s” at %(host)s"),
            bucket=self.bucket,
            host=self.endpoint or "AWS",
        )

    @property
    def trusts_checksums(self) -> bool:
        return self.verify == "checksum" or (
            self.verify == "auto" and not self.endpoint
        )

    def _check_bucket(self) -> None:
        if not re.fullmatch(r"[\w.:-]+", self.bucket):
            raise BadBucketName(bucket=self.bucket)

    def _check_prefix(self) -> None:
        parts = self.prefix.rstrip("/").split("/")
        bad = {"..", "."} & set(parts) or (self.prefix and "" in parts)
        if bad or re.search(r"[\x00-\x1f\x7f]", self.prefix):
            raise BadPrefix(prefix=self.prefix)

    def _check_endpoint(self) -> None:
        if self.endpoint and not re.fullmatch(r"https?://[^\s/@?#]+/?", self.endpoint):
            shown = re.sub(r"//[^/]*@", "//…@", self.endpoint)
            raise BadEndpoint(endpoint=shown)

    def _check_credentials(self) -> None:
        if bool(self.access_key) != bool(self.secret_key):
            raise HalfOfTheKeys()

    def _check_choices(self) -> None:
        choices = [
            ("addressing", self.addressing, ADDRESSING),
            ("checksums", self.checksums, CHECKSUMS),
            ("encryption", self.encryption, ENCRYPTIONS),
            ("lock_mode", self.lock_mode, LOCK_MODES),
            ("verify", self.verify, VERIFY),
        ]
        for name, value, allowed in choices:
            if value not in allowed:
                possible = ", ".join(filter(None, allowed))
                raise BadChoice(value=value, setting=name, choices=possible)
        if self.lock_mode and self.lock_days < 1:
            raise LockWithoutDays()
        if self.parallel < 1:
            raise NothingParallel()


@dataclass(frozen=True)
class Preset:
    """How a provider wants to be reached. ``endpoint`` has ``{region}`` or
    ``{account}`` to fill in, and is blank for AWS and for a server of one's own
    (``is_own``); ``region`` is the one to sign with where there is no choice."""

    name: str
    endpoint: str
    region: str = ""
    addressing: str = "auto"
    checksums: str = "auto"
    advice: str = ""  # a template
    source: str = ""
    is_own: bool = False

    @property
    def asks(self) -> tuple[str, ...]:
        """What somebody has to say so that the address is known: "account", "region"
        or "endpoint"."""
        needed = {
            "account": "{account}" in self.endpoint,
            "region": not self.region,
            "endpoint": self.is_own,
        }
        return tuple(name for name, is_needed in needed.items() if is_needed)

    @property
    def notes(self) -> Message:
        """What the administrator has to know, if anything."""
        return Message(self.advice)

    def url(self, region: str = "", account: str = "") -> str:
        """Return the endpoint of a region or an account, "" while that is missing."""
        given = {"region": region, "account": account}
        missing = (name for name, value in given.items() if not value)
        if any(f"{{{name}}}" in self.endpoint for name in missing):
            return ""
        return self.endpoint.format(**given)


PRESETS = {
    "aws": Preset(
        "Amazon S3",
        "",
        advice=_(
            "Enter the region of the bucket. A lifecycle rule that ends incomplete "
            "multipart uploads after 7 days is a good idea."
        ),
        source="https://docs.aws.amazon.com/general/latest/gr/s3.html",
    ),
    "backblaze": Preset(
        "Backblaze B2",
        "https://s3.{region}.backblazeb2.com",
        advice=_(
            "The region is the middle of the bucket's endpoint, for example "
            "us-west-004. Use an application key, not the master key. Buckets keep all "
            "versions unless their lifecycle says “keep only the last version”."
        ),
        source="https://www.backblaze.com/docs/cloud-storage-call-the-s3-compatible-api",
    ),
    "cloudflare": Preset(
        "Cloudflare R2",
        "https://{account}.r2.cloudflarestorage.com",
        region="auto",
        advice=_(
            "The account is the long identifier in the dashboard's address. Buckets "
            "with a jurisdiction have another address: "
            "https://<account>.eu.r2.cloudflarestorage.com"
        ),
        source="https://developers.cloudflare.com/r2/api/s3/api/",
    ),
    "wasabi": Preset(
        "Wasabi",
        "https://s3.{region}.wasabisys.com",
        advice=_(
            "Deleted objects are charged for a minimum time, so that keeping them for "
            "less saves nothing."
        ),
        source="https://docs.wasabi.com/docs/service-urls-for-wasabis-storage-regions",
    ),
    "digitalocean": Preset(
        "DigitalOcean Spaces",
        "https://{region}.digitaloceanspaces.com",
        advice=_("The region is the Space's short code, for example fra1."),
        source="https://docs.digitalocean.com/products/spaces/reference/aws-sdks/",
    ),
    "hetzner": Preset(
        "Hetzner Object Storage",
        "https://{region}.your-objectstorage.com",
        advice=_(
            "The region is the location of the bucket: fsn1, nbg1 or hel1. A pair of "
            "keys reaches every bucket of its project: make a project for backups "
            "alone."
        ),
        source="https://docs.hetzner.com/storage/object-storage/overview",
    ),
    "ovh": Preset(
        "OVHcloud Object Storage",
        "https://s3.{region}.io.cloud.ovh.net",
        advice=_("The region in small letters, for example gra."),
        source="https://help.ovhcloud.com/csm/en-public-cloud-storage-s3-location",
    ),
    "scaleway": Preset(
        "Scaleway Object Storage",
        "https://s3.{region}.scw.cloud",
        advice=_(
            "The region is fr-par, nl-ams or pl-waw. Do not choose the class GLACIER: "
            "such objects cannot be read back to verify them."
        ),
        source="https://www.scaleway.com/en/docs/object-storage/",
    ),
    "minio": Preset(
        "MinIO",
        "",
        region="us-east-1",
        addressing="path",
        advice=_(
            "Enter the address of the server, for example "
            "https://minio.example.com:9000. For a certificate of your own, enter the "
            "certificate of its authority."
        ),
        source="https://min.io/docs/minio/linux/administration/identity-access-management.html",
        is_own=True,
    ),
    "ceph": Preset(
        "Ceph RADOS Gateway",
        "",
        region="us-east-1",
        addressing="path",
        advice=_(
            "Enter the address of the gateway. Old releases refuse S3's newer "
            "checksums; this is detected automatically."
        ),
        source="https://docs.ceph.com/en/latest/radosgw/s3/",
        is_own=True,
    ),
}
