"""What a restore and a drill need of Odoo."""

import contextlib
import shutil

from odoo import fields, release

from ... import odoo_config, runner
from ...engine.errors import EngineError
from ...engine.messages import Joined, Message, from_json, to_json
from ...engine.restore.leftovers import remove_leftovers
from ...engine.restore.options import RestoreOptions
from ...engine.restore.steps import Restore
from ...runs import words
from ..copy.states import PRESENT_STATES
from ..engine_messages import translate
from .part import Part


class Restores(Part):
    def open(self, copy, durable, whole, accepted):
        """Return the engine's restore of ``copy``, as this run wants it."""
        staging = self.job.staging_id.sudo()
        options = RestoreOptions(
            # a drill is never published: any name does that nobody has
            place=odoo_config.place(
                self.job.restore_database or f"dfr_drill_{self.job.uuid[:8]}"
            ),
            series=release.series,
            modules=odoo_config.modules_on_disk(),
            accepted=accepted,
            new_identity=self.job.restore_new_identity,
            neutralize=odoo_config.neutralization
            if self.job.restore_neutralize
            else None,
            identities=self.identities(copy),
            durable=durable,
            whole=whole,
            plain=self.job.restore_plain,
            trusted=self.job.trigger == "cli" or copy.is_trusted,
            space=self.context.files.reservations(),
            **staging._restore_options(self.job),
            **odoo_config.database_template(),
        )
        return Restore(
            self.context.database.server(),
            options,
            self.context.files.work_path(),
            odoo_config.markers(),
        )

    def other_storages(self, copy):
        """Return where else the same backup is stored: its packs there may have what
        the packs of ``copy`` have lost."""
        others = copy.backup_id.copy_ids.filtered(
            lambda other: other.state in PRESENT_STATES
        )
        found = []
        for storage in others.storage_id - copy.storage_id:
            with contextlib.suppress(EngineError):
                found.append(storage._get_storage())
        return found

    def note_to_accept(self, errors):
        """Keep what somebody may accept: what it is called, and what it says."""
        found = [
            {"code": error.finding, "text": to_json(error.in_full)} for error in errors
        ]
        self.context.store.update_state(to_accept=found)

    def to_accept(self):
        """Return what somebody may accept as it is shown, by what it is called."""
        found = self.job.run_state.to_accept
        return {
            one["code"]: translate(self.job.env, from_json(one["text"]))
            for one in found
        }

    def identities(self, copy):
        """Return what decrypts the archive, None when nothing was given."""
        return copy._identities(self.job._read_secret("restore_key"))

    def begin_again(self, steps):
        """Remove what an interrupted attempt has made, and open its steps again."""
        self.forget_leftovers()
        self.forget_addons()
        steps.filtered(lambda step: step.state != "pending")._reset()
        self.context.files.work_path().mkdir(mode=0o700, parents=True, exist_ok=True)

    def is_published(self):
        """Tell whether the database of this restore has its name: then all of it was
        done."""
        number = self.job.run_state.restored
        if not number:
            return False
        self.job.env.cr.execute(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s AND oid = %s)",
            [self.job.restore_database, number],
        )
        return self.job.env.cr.fetchone()[0]

    def forget_leftovers(self):
        remove_leftovers(self.context.database.server(), odoo_config.markers())

    def addons_path(self):
        return odoo_config.restored_addons_path(
            self.job.restore_database, self.job.uuid
        )

    def forget_addons(self):
        """Remove the custom addons of a restore that did not come to its end."""
        if self.job.restore_addons:
            shutil.rmtree(self.addons_path(), ignore_errors=True)

    def tell_addons(self, done, archive, progress):
        """Say where the addons are, what of it the database needs, and how Odoo gets
        to see it."""
        path = self.addons_path()
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

    def forget_fetched(self):
        """Remove what was fetched, and the key that was given for this run."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.context.files.work_path())
        self.forget_key()

    def forget_key(self):
        if self.job.sudo().sealed_secrets:
            self.job._persist(self.job.sudo(), {"sealed_secrets": False})

    def boot(self, database, progress):
        """Load ``database`` in a process of its own, which reads a record of every
        model."""
        runner.boot_apart(
            database, f"{self.context.database.application_name()} boot", progress
        )

    def note_staging(self):
        """Let the list of staging copies know what this restore has made."""
        self.job.staging_id.sudo()._settle()

    def note_drill(self, copy, steps):
        """Write down what a drill has shown, on the copy and on its plan."""
        if not all(step._is_good() for step in steps):
            return
        now = fields.Datetime.now()
        seconds = sum(steps.mapped("seconds"))
        self.job._persist(copy, {"proven_at": now, "proven_seconds": seconds})
        if copy.plan_id:
            self.job._persist(
                copy.plan_id, {"last_proven": now, "last_proven_seconds": seconds}
            )
