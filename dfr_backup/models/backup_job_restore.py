"""What the runner does for a restore and for a drill."""

import contextlib
import json
import shutil
import subprocess
import sys
import time

from odoo import fields, models, release

from .. import runner, server
from ..engine.errors import EngineError, PermanentError
from ..engine.process import die_with_parent
from ..engine.restore.steps import Restore, RestoreOptions
from ..engine.restore.target import remove_leftovers

BOOT_SECONDS = 900
POLL = 0.5  # seconds


class BackupJob(models.Model):
    _name = "backup.job"
    _inherit = ["backup.job", "backup.secret.mixin"]

    restore_database = fields.Char("New Database")
    restore_neutralize = fields.Boolean("Neutralize")
    restore_new_identity = fields.Boolean("New Identity")
    restore_accepted = fields.Json(help="What the preflight found and somebody accepted.")
    restore_key = fields.Text(
        "Key of the Archive", compute="_compute_secrets", inverse="_inverse_restore_key"
    )

    def _inverse_restore_key(self):
        self._seal_secret("restore_key")

    def _open_restore(self, copy):
        """Return the engine's restore of ``copy``, as this run wants it."""
        options = RestoreOptions(
            # a drill is never published: any name does that nobody has
            place=server.place(self.restore_database or f"dfr_drill_{self.uuid[:8]}"),
            series=release.series,
            modules=server.modules_on_disk(),
            accepted=self.restore_accepted or (),
            new_identity=self.restore_new_identity,
            neutralize=server.neutralization if self.restore_neutralize else None,
            identities=self._identities(copy),
            durable=self.kind == "restore",
            **server.database_template(),
        )
        return Restore(self._server(), options, self._work_path(), server.markers())

    def _server(self):
        return server.connection("postgres", self._application_name())

    def _identities(self, copy):
        """Return what decrypts the archive, None when nothing was given."""
        return copy._identities(self._read_secret("restore_key"))

    def _begin_again(self, steps):
        """Remove what an interrupted attempt has made, and open its steps again."""
        remove_leftovers(self._server(), server.markers())
        steps.filtered(lambda step: step.state != "pending")._reset()
        self._work_path().mkdir(mode=0o700, parents=True, exist_ok=True)

    def _forget_fetched(self):
        """Remove what was fetched, and the key that was given for this run."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._work_path())
        self._forget_key()

    def _forget_key(self):
        if self.sudo().sealed_secrets:
            self._persist(self.sudo(), {"sealed_secrets": False})

    def _remove_files(self):
        """Remove also what a restore has made that will not go on, and the key given for it."""
        for job in self:
            job._forget_key()
        restores = self.filtered(lambda job: job.kind in ("restore", "drill"))
        if restores:
            with contextlib.suppress(EngineError):  # the next restore tries again
                remove_leftovers(restores[0]._server(), server.markers())
        return super()._remove_files()

    def _boot(self, database, progress):
        """Load ``database`` in a process of its own, which reads a record of every model."""
        argv = [sys.executable, "-m", "odoo", "backup", "boot", f"--database={database}"]
        process = subprocess.Popen(
            argv,
            env=runner.child_environment(f"{self._application_name()} boot"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            preexec_fn=die_with_parent,
        )
        try:
            output = _output(process, progress)
        finally:
            process.kill()
            process.wait()
        last = output.strip().rpartition("\n")[2]
        if process.returncode != 0 or not last.startswith("{"):
            raise PermanentError(
                "Odoo cannot load the restored database.",
                hint="The log of this step says why. Are all custom addons there?",
                log=output[-8000:],
            )
        progress.log(f"Odoo has loaded it and read {json.loads(last)['models']} models")

    def _note_drill(self, copy, steps):
        """Write down what a drill has shown, on the copy and on its plan."""
        if not all(step._is_good() for step in steps):
            return
        now = fields.Datetime.now()
        seconds = sum(steps.mapped("seconds"))
        self._persist(copy, {"proven_at": now, "proven_seconds": seconds})
        if copy.plan_id:
            self._persist(copy.plan_id, {"last_proven": now, "last_proven_seconds": seconds})


def _output(process, progress):
    """Return what a process prints, once it has ended; a cancel is heard meanwhile."""
    until = time.monotonic() + BOOT_SECONDS
    while True:
        try:
            return process.communicate(timeout=POLL)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            progress.tick()
            if time.monotonic() > until:
                raise PermanentError(
                    f"Odoo did not load the restored database in {BOOT_SECONDS} s.",
                    hint="Look at the load of the server, and run the drill again.",
                ) from None
