"""What the runner does for a restore and for a drill."""

import contextlib
import shutil

from odoo import fields, models, release

from .. import odoo_config, runner
from ..engine.messages import Joined, Message, from_json, to_json
from ..engine.restore.leftovers import remove_leftovers
from ..engine.restore.steps import Restore, RestoreOptions
from ..runs import words
from .engine_messages import translate


class BackupJob(models.Model):
    _name = "backup.job"
    _inherit = ["backup.job", "backup.secret.mixin"]

    restore_database = fields.Char("New Database")
    restore_neutralize = fields.Boolean("Neutralize")
    restore_new_identity = fields.Boolean("New Identity")
    restore_addons = fields.Boolean("Unpack Custom Addons")
    restore_accepted = fields.Json(
        help="What the preflight found and somebody accepted."
    )
    restore_plain = fields.Boolean(
        "Load in One Session", help="The dump is loaded in its own order, as by psql."
    )
    restore_key = fields.Text(
        "Key of the Archive", compute="_compute_secrets", inverse="_inverse_restore_key"
    )

    def _inverse_restore_key(self):
        self._seal_secret("restore_key")

    def _open_restore(self, copy, durable, whole, accepted):
        """Return the engine's restore of ``copy``, as this run wants it."""
        options = RestoreOptions(
            # a drill is never published: any name does that nobody has
            place=odoo_config.place(
                self.restore_database or f"dfr_drill_{self.uuid[:8]}"
            ),
            series=release.series,
            modules=odoo_config.modules_on_disk(),
            accepted=accepted,
            new_identity=self.restore_new_identity,
            neutralize=odoo_config.neutralization if self.restore_neutralize else None,
            identities=self._identities(copy),
            durable=durable,
            whole=whole,
            plain=self.restore_plain,
            trusted=self.trigger == "cli" or copy.is_trusted,
            **odoo_config.database_template(),
        )
        return Restore(
            self._server(), options, self._work_path(), odoo_config.markers()
        )

    def _note_to_accept(self, errors):
        """Keep what somebody may accept: what it is called, and what it says."""
        found = [
            {"code": error.finding, "text": to_json(error.in_full)} for error in errors
        ]
        self._update_state(to_accept=found)

    def _to_accept(self):
        """Return what somebody may accept as it is shown, by what it is called."""
        found = self.run_state.to_accept
        return {
            one["code"]: translate(self.env, from_json(one["text"])) for one in found
        }

    def _server(self):
        return odoo_config.connection("postgres", self._application_name())

    def _identities(self, copy):
        """Return what decrypts the archive, None when nothing was given."""
        return copy._identities(self._read_secret("restore_key"))

    def _begin_again(self, steps):
        """Remove what an interrupted attempt has made, and open its steps again."""
        self._forget_leftovers()
        self._forget_addons()
        steps.filtered(lambda step: step.state != "pending")._reset()
        self._work_path().mkdir(mode=0o700, parents=True, exist_ok=True)

    def _is_published(self):
        """Tell whether the database of this restore has its name: then all of it was
        done."""
        number = self.run_state.restored
        if not number:
            return False
        self.env.cr.execute(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s AND oid = %s)",
            [self.restore_database, number],
        )
        return self.env.cr.fetchone()[0]

    def _forget_leftovers(self):
        remove_leftovers(self._server(), odoo_config.markers())

    def _addons_path(self):
        return odoo_config.restored_addons_path(self.restore_database, self.uuid)

    def _forget_addons(self):
        """Remove the custom addons of a restore that did not come to its end."""
        if self.restore_addons:
            shutil.rmtree(self._addons_path(), ignore_errors=True)

    def _tell_addons(self, done, archive, progress):
        """Say where the addons are, what of it the database needs, and how Odoo gets
        to see it."""
        path = self._addons_path()
        unpacked = ", ".join(done.unpacked) or Message(words.NONE)
        progress.log(Message(words.ADDONS_UNPACKED, path=path, names=unpacked))
        needed = sorted(set(archive.modules) - set(odoo_config.modules_on_disk()))
        if not needed:
            progress.log(Message(words.ADDONS_COMPLETE))
            return
        lines = [Message(words.ADDONS_NEEDED, names=", ".join(needed))]
        if set(needed) & set(done.unpacked):
            lines.append(Message(words.ADDONS_LINE, line=odoo_config.addons_line(path)))
        nowhere = sorted(set(needed) - set(done.unpacked))
        if nowhere:
            lines.append(Message(words.ADDONS_ABSENT, names=", ".join(nowhere)))
        progress.warn(Joined(lines, "\n"))

    def _forget_fetched(self):
        """Remove what was fetched, and the key that was given for this run."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._work_path())
        self._forget_key()

    def _forget_key(self):
        if self.sudo().sealed_secrets:
            self._persist(self.sudo(), {"sealed_secrets": False})

    def _boot(self, database, progress):
        """Load ``database`` in a process of its own, which reads a record of every
        model."""
        runner.boot_apart(database, f"{self._application_name()} boot", progress)

    def _note_drill(self, copy, steps):
        """Write down what a drill has shown, on the copy and on its plan."""
        if not all(step._is_good() for step in steps):
            return
        now = fields.Datetime.now()
        seconds = sum(steps.mapped("seconds"))
        self._persist(copy, {"proven_at": now, "proven_seconds": seconds})
        if copy.plan_id:
            self._persist(
                copy.plan_id, {"last_proven": now, "last_proven_seconds": seconds}
            )
