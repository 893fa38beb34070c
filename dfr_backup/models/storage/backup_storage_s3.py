import json

from odoo import api, fields, models

from ...engine.errors import EngineError
from ...engine.storages.s3.config import PRESETS, S3Config
from ...engine.storages.s3.policy import smallest_policy
from ..engine_messages import translate
from .form import propose_name


class BackupStorage(models.Model):
    _inherit = "backup.storage"

    provider = fields.Selection(
        selection_add=[("s3", "S3 (AWS and compatible)")], ondelete={"s3": "cascade"}
    )
    s3_preset = fields.Selection(
        [(key, preset.name) for key, preset in PRESETS.items()],
        string="Provider",
        help="Fills in what is known of a provider. You can change all of it.",
    )
    s3_account = fields.Char(
        string="Account",
        help="The account or project that is a part of the provider's address.",
    )
    s3_notes = fields.Text(compute="_compute_s3_notes")
    s3_asks = fields.Char(
        "Parts of the Address",
        compute="_compute_s3_asks",
        help="What the address is built from.",
    )
    s3_policy = fields.Text(
        string="IAM Policy",
        compute="_compute_s3_policy",
        help="The smallest policy for the keys of this storage.",
    )
    s3_bucket = fields.Char(string="Bucket")
    s3_prefix = fields.Char(
        string="Folder",
        help="Put before every name in the bucket, for example “odoo/”.",
    )
    s3_endpoint = fields.Char(
        string="Endpoint", help="The address of the service, https://…; empty for AWS."
    )
    s3_region = fields.Char(string="Region")
    s3_access_key = fields.Char(
        string="Access Key",
        help="Leave both keys empty to use what the server has: an instance role, the "
        "environment, or a profile of the system user that runs Odoo.",
    )
    s3_secret_key = fields.Char(
        string="Secret Key",
        compute="_compute_secrets",
        inverse="_inverse_s3_secret_key",
    )
    s3_addressing = fields.Selection(
        [
            ("auto", "Automatic"),
            ("path", "Path: endpoint/bucket"),
            ("virtual", "Host: bucket.endpoint"),
        ],
        string="Addressing",
        default="auto",
        required=True,
    )
    s3_ca_certificate = fields.Text(
        string="Custom CA Certificate",
        help="The certificate (PEM) of the authority that signed the server's.",
    )
    s3_storage_class = fields.Char(
        string="Storage Class", help="For example STANDARD_IA."
    )
    s3_encryption = fields.Selection(
        [
            ("AES256", "SSE-S3: keys of the storage"),
            ("aws:kms", "SSE-KMS: a key of yours"),
        ],
        string="Encryption by the Storage",
    )
    s3_kms_key = fields.Char(string="KMS Key")
    s3_lock_mode = fields.Selection(
        [
            ("GOVERNANCE", "Governance"),
            ("COMPLIANCE", "Compliance: nobody can undo it"),
        ],
        string="Object Lock",
        help="Nobody may delete or overwrite a backup before its time. The bucket must "
        "have been "
        "created with Object Lock.",
    )
    s3_lock_days = fields.Integer(string="Locked Days", default=14)
    s3_verify = fields.Selection(
        [
            ("auto", "Automatic"),
            ("read", "Read the whole copy back"),
            ("checksum", "Trust the checksum that the storage keeps"),
        ],
        string="Verify by",
        default="auto",
        required=True,
        help="Automatic: AWS's own checksum where the copy is at AWS, else reading it "
        "back.",
    )

    def _lock_days(self):
        locks = self._kind().name == "s3" and self._at("s3_lock_mode")
        return self._at("s3_lock_days") if locks else super()._lock_days()

    @api.depends(
        "s3_bucket", "s3_prefix", "s3_lock_mode", "s3_encryption", "s3_kms_key"
    )
    def _compute_s3_policy(self):
        for storage in self:
            storage.s3_policy = storage.s3_bucket and _policy_of(storage)

    @api.depends("s3_preset")
    @api.depends_context("lang")
    def _compute_s3_notes(self):
        for storage in self:
            preset = PRESETS.get(storage.s3_preset)
            notes = preset.notes if preset else ""
            storage.s3_notes = translate(self.env, notes) or False

    @api.depends("s3_preset")
    def _compute_s3_asks(self):
        for storage in self:
            preset = PRESETS.get(storage.s3_preset)
            asks = preset.asks if preset else ("region", "endpoint")
            storage.s3_asks = ",".join(asks)

    @api.onchange("s3_preset", "s3_region", "s3_account")
    def _onchange_s3_preset(self):
        preset = PRESETS.get(self.s3_preset)
        if preset:
            self.s3_region = self.s3_region or preset.region or False
            self.s3_addressing = preset.addressing
            if preset.endpoint or self._origin.s3_preset != self.s3_preset:
                region, account = self.s3_region or "", self.s3_account or ""
                self.s3_endpoint = preset.url(region, account) or False

    @api.onchange("s3_bucket")
    def _onchange_s3_bucket(self):
        propose_name(self, self.s3_bucket)

    def _inverse_s3_secret_key(self):
        self._encrypt_secret("s3_secret_key")


def _policy_of(storage):
    """Return the policy as text, False while a name in it cannot be right."""
    try:
        config = S3Config(
            bucket=storage.s3_bucket,
            prefix=storage.s3_prefix or "",
            encryption=storage.s3_encryption or "",
            kms_key=storage.s3_kms_key or "",
            lock_mode=storage.s3_lock_mode or "",
            lock_days=1 if storage.s3_lock_mode else 0,
        )
    except EngineError:
        return False
    return json.dumps(smallest_policy(config), indent=2)
