from odoo import api, fields, models
from odoo.exceptions import UserError

from ..moments import in_words
from .states import PRESENT_STATES

# of the copies of a backup: the best decides what it is
BEST_FIRST = ("verified", "stored", "unknown", "damaged", "missing", "deleted")
# of the calendar, as Odoo numbers them: green, blue, yellow and red
COLORS = {"verified": 10, "stored": 4, "unknown": 3, "damaged": 1, "missing": 1}
# the calendar has room for little: what they mean, its pop-up says in words
OFF_SITE, ENCRYPTED, TESTED = "☁", "🔒", "✓"
# what makes two archives one backup
IDENTITY = ("name", "database_uuid", "sha256", "imported_by")
# what a copy has of its backup, by the same name
FACTS = (
    "date",
    "size",
    "sha256",
    "contents",
    "complete",
    "encrypted",
    "database",
    "database_uuid",
    "identity",
    "origin",
    "imported_by",
    "odoo_version",
    "job_id",
)


def noted_facts(record):
    """Return the facts of a backup, or what a copy has of them."""
    return {name: getattr(record[name], "id", record[name]) for name in FACTS}


class BackupBackup(models.Model):
    """One archive, wherever it is stored: under one name and of one database, with one
    checksum. What somebody has taken in is another backup than what was made here, as
    it belongs to somebody else; and a storage that holds something else under the name
    holds another backup."""

    _name = "backup.backup"
    _inherit = ["backup.record.mixin", "backup.empty.mixin"]
    _description = "Backup"
    _order = "date desc, id desc"

    name = fields.Char(required=True, readonly=True)
    copy_ids = fields.One2many("backup.copy", "backup_id", readonly=True)
    job_id = fields.Many2one(
        "backup.job", string="Run", ondelete="restrict", index=True, readonly=True
    )
    plan_id = fields.Many2one("backup.plan", compute="_compute_of_copies", store=True)
    storage_ids = fields.Many2many("backup.storage", compute="_compute_storages")
    date = fields.Datetime(
        readonly=True, help="When the data was saved, not when it was stored."
    )
    size = fields.Float(digits=(20, 0), readonly=True, help="In bytes.")
    sha256 = fields.Char(string="SHA-256", readonly=True)
    contents = fields.Char("Parts", readonly=True)
    contents_in_words = fields.Char("Contents", compute="_compute_contents_in_words")
    complete = fields.Boolean(
        default=True, readonly=True, help="Everything the plan includes was backed up."
    )
    encrypted = fields.Boolean(readonly=True)
    database = fields.Char(readonly=True)
    database_uuid = fields.Char(readonly=True)
    identity = fields.Char(
        readonly=True,
        help="The database that has made it, with its cluster and its OID there.",
    )
    origin = fields.Selection(
        [
            ("run", "A run of this addon"),
            ("import", "Imported"),
            ("odoo", "Odoo's database manager"),
        ],
        required=True,
        default="run",
        readonly=True,
        help="Retention only deletes what a run of a plan has made.",
    )
    imported_by = fields.Char(readonly=True, help="The database that imported it.")
    odoo_version = fields.Char(readonly=True)
    state = fields.Selection(
        selection=lambda self: self._states_of_copies(),
        compute="_compute_of_copies",
        store=True,
        index=True,
        help="The state of its best copy.",
    )
    color = fields.Integer(compute="_compute_color")
    kept_until = fields.Datetime(
        compute="_compute_kept",
        help="When the last of its copies will be deleted, if backups go on as they do "
        "now.",
    )
    kept_because = fields.Char("Reason Kept", compute="_compute_kept")
    protected = fields.Boolean(
        compute="_compute_of_copies",
        store=True,
        help="Retention never deletes one of its copies.",
    )

    off_site = fields.Boolean(
        "Off-site",
        compute="_compute_storages",
        help="A copy of it is in a storage that survives the loss of this server.",
    )
    proven_at = fields.Datetime(
        "Restore Tested", compute="_compute_of_copies", store=True
    )

    _identity_uniq = models.UniqueIndex(
        "(name, COALESCE(database_uuid, ''), sha256,"
        " COALESCE(imported_by, '')) WHERE sha256 IS NOT NULL",
        "This backup is already registered.",
    )

    @api.model
    def _states_of_copies(self):
        states = self.env["backup.copy"]._fields["state"]
        return states._description_selection(self.env)

    @api.depends(
        "copy_ids.state", "copy_ids.protected", "copy_ids.plan_id", "copy_ids.proven_at"
    )
    def _compute_of_copies(self):
        for backup in self:
            copies = backup.copy_ids
            kept = copies.filtered(lambda copy: copy.state != "deleted")
            states = set(copies.mapped("state"))
            best = next((state for state in BEST_FIRST if state in states), "deleted")
            backup.state = best
            backup.plan_id = copies.plan_id[:1]
            backup.protected = any(kept.mapped("protected"))
            proven = filter(None, copies.mapped("proven_at"))
            backup.proven_at = max(proven, default=False)

    @api.depends("state")
    def _compute_color(self):
        for backup in self:
            backup.color = COLORS.get(backup.state, 0)

    @api.depends("copy_ids.state", "copy_ids.storage_id")
    def _compute_storages(self):
        for backup in self:
            there = backup.copy_ids.filtered(lambda copy: copy.state != "deleted")
            backup.storage_ids = there.storage_id
        away = {storage: storage.sudo()._is_off_site() for storage in self.storage_ids}
        for backup in self:
            backup.off_site = any(away[storage] for storage in backup.storage_ids)

    # === BUTTONS === #

    def action_restore(self):
        """Ask what the backup is to become."""
        best = self._best_copy()
        if best.state not in PRESENT_STATES:
            raise UserError(
                self.env._("This backup is not available and cannot be restored.")
            )
        return best.action_restore()

    def _best_copy(self):
        """Return the copy that is read: of those that are there, the one that is
        trusted and nearest. Where none is there, one that says so."""
        self.ensure_one()
        return self.copy_ids.sorted(
            lambda copy: (
                copy.state not in PRESENT_STATES,
                not copy.is_trusted,
                copy.state != "verified",
                not copy.storage_id.sudo()._is_near(),
            )
        )[:1]

    @api.depends("copy_ids.state", "copy_ids.protected", "copy_ids.date")
    @api.depends_context("lang")
    def _compute_kept(self):
        for backup in self:
            there = backup.copy_ids.filtered(lambda copy: copy.state in PRESENT_STATES)
            last = there.filtered(lambda copy: not copy.expires_at)[:1]
            last = last or there.sorted("expires_at", reverse=True)[:1]
            backup.kept_until, backup.kept_because = last.expires_at, last.kept_because

    @api.depends("name", "date")
    @api.depends_context("backup_calendar", "lang", "tz")
    def _compute_display_name(self):
        in_calendar = self.env.context.get("backup_calendar")
        for backup in self:
            moment = in_words(self.env, backup.date)
            name = in_calendar and backup._in_calendar()
            backup.display_name = name or moment or backup.name

    def _in_calendar(self):
        """Return what the calendar shows of a backup beside its hour: its plan, and
        what is good about it."""
        marks = [
            self.off_site and OFF_SITE,
            self.encrypted and ENCRYPTED,
            self.proven_at and TESTED,
        ]
        name = self.plan_id.name or self.database or self.name
        return " ".join([*filter(None, marks), name])

    @api.depends("contents")
    @api.depends_context("lang")
    def _compute_contents_in_words(self):
        names = {
            part: f"include_{part}" for part in ("database", "filestore", "addons")
        }
        known = self.env["backup.plan"].fields_get(names.values(), ["string"])
        for backup in self:
            parts = (backup.contents or "").split(", ")
            words = [
                known[names[part]]["string"] if part in names else part
                for part in parts
            ]
            backup.contents_in_words = ", ".join(words)

    @api.model
    def _find(self, facts):
        """Return the backup that has this identity, empty when none has it."""
        names = IDENTITY if facts.get("sha256") else (*IDENTITY, "size", "date")
        known = [(name, "=", facts.get(name) or False) for name in names]
        return self.search(known, limit=1)

    @api.model
    def _find_or_create(self, facts):
        """Return the backup of these facts."""
        return self._noted(self._find(facts), facts)

    @api.model
    def _noted(self, found, facts):
        """Return the backup that was found, with these facts, or a new one."""
        found._note(facts)
        return found or self.create(facts)

    def _note(self, facts):
        """Write down what is new."""
        for backup in self:
            known = backup._facts()
            new = {
                name: fact
                for name, fact in facts.items()
                if (known[name] or False) != (fact or False)
            }
            if new:
                backup.write(new)

    def _facts(self):
        return {"name": self.name, **noted_facts(self)}

    @api.model
    def _settle(self, copy):
        """See to it that a copy is one of the backup whose facts it has now."""
        facts, known = {"name": copy.key, **noted_facts(copy)}, copy.backup_id
        if all((known[n] or False) == (facts[n] or False) for n in IDENTITY):
            known._note(facts)
            return
        found = self._find(facts)
        if not found and known.copy_ids == copy:
            known._note(facts)
            return
        copy.backup_id = self._noted(found, facts)
        known._drop_empty()

    def _drop_empty(self):
        """Remove those that have no copy any more, not even one in the history."""
        self.filtered(lambda backup: not backup.copy_ids).unlink()

    # === THE MENU: ITS COPIES DO IT, AND ASK WHAT THEY ASK === #

    def _kept_copies(self):
        return self.copy_ids.filtered(lambda copy: copy.state != "deleted")

    # === OF THE BEST COPY === #

    def action_staging(self):
        """Ask whether this backup is to become a staging copy."""
        return self._best_copy().action_staging()

    def action_browse(self):
        """Show what this backup holds."""
        return self._best_copy().action_browse()

    def action_download(self):
        """Open the address from which the stored archive can be downloaded."""
        return self._best_copy().action_download()

    def action_download_complete(self):
        """Open the address from which one complete zip can be downloaded."""
        return self._best_copy().action_download_complete()

    def action_drill(self):
        """Prove that this backup restores, as a run of its own, and show it."""
        return self._best_copy().action_drill()

    # === OF ALL COPIES === #

    def action_verify(self):
        """Read all copies back, as a run of its own, and show it."""
        return self.copy_ids.action_verify()

    def action_protect(self):
        """Keep these copies, whatever the rules say."""
        return self._kept_copies().action_protect()

    def action_unprotect(self):
        """Let the rules decide again."""
        return self._kept_copies().action_unprotect()

    def action_ask_delete(self):
        """Say which copies would be deleted, and ask."""
        return self.copy_ids.action_ask_delete()
