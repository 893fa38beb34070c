"""What the archive of a run says about itself."""

from dataclasses import replace
from datetime import datetime, timezone

from ... import odoo_config
from ...engine.identity import Identity
from ...engine.manifest import write as manifest
from ...engine.manifest.model import INCREMENTAL, Manifest
from ...engine.manifest.names import sidecar_key
from ...engine.manifest.read import parse_sidecar
from ...engine.packs.content import summed
from ..moments import from_odoo_datetime
from .part import Part


class Archive(Part):
    def taken_at(self):
        """Return the moment of the data: of the snapshot, else the start of the run
        (aware, in UTC; PostgreSQL has told it in the time zone of the server)."""
        moment = self.job.run_state.snapshot_at
        if moment:
            return datetime.fromisoformat(moment).astimezone(timezone.utc)
        return from_odoo_datetime(self.job.date_start or self.job.create_date)

    def manifest(self, members):
        """Return the content of ``manifest.json``. ``members`` tells about
        SHA256SUMS."""
        state = self.job.run_state
        ours = {
            "job": self.job.uuid,
            "run": self.job.name,
            "plan": self.job.plan_id.name,
            "database_uuid": self.job.database_uuid,
            "identity": self._known_identity().to_json(),
            "snapshot_at": self.taken_at().isoformat(),
            "contents": self._contents(),
            "missing": self.missing_parts(),
            "members": members,
            **{
                key: getattr(state, key)
                for key in ("pg_dump", "rows", "attachments", "filestore")
            },
            "table_bytes": state.table_bytes,
            "addons": state.addons,
            "encryption": self.context.plan.encryption_facts(),
        }
        if state.incremental:
            packed = state.packed or summed(()).to_json()
            ours |= {"format": INCREMENTAL, "packed": packed}
        odoo = odoo_config.odoo_manifest(self.job.env.cr)
        self.job.env.cr.commit()  # pylint: disable=invalid-commit  # close the reading transaction
        return manifest.build(odoo, ours)

    def sign(self, content):
        """Return the manifest of the stored archive with the signature of this server
        and database."""
        return odoo_config.signer().sign(content, self._known_identity().to_json())

    def _known_identity(self):
        """Return who has made this run: the uuid alone for one that was waiting when
        this release was installed."""
        found = Identity.from_key(self.job.identity or self.job.database_uuid)
        return replace(found, name=self.context.database.name())

    def _contents(self):
        """Return what the archive holds, for example ["database", "filestore",
        "addons"]."""
        files = self.job._step("archive_files").state != "skipped"
        return [
            *(["database"] if self.job._step("dump_database")._is_good() else []),
            *(["filestore"] if self.job.include_filestore and files else []),
            *(["addons"] if self.job.include_addons and files else []),
        ]

    def missing_parts(self):
        """Return what the archive should hold and does not, with the reason."""
        failed = self.job.step_ids.filtered(
            lambda s: (
                s.kind in ("dump_database", "archive_files") and s.state == "failure"
            )
        )
        return [
            {"part": step.kind, "reason": step.error, "code": step.error_code or None}
            for step in failed
        ]

    def sidecar(self):
        """Return what this run's archive is, once it is complete: of an incremental one
        without its packs."""
        about = Manifest(self.job.run_state.manifest or {})
        key, size = self.job.archive_name, int(self.job.archive_size)
        packs = () if about.is_incremental else None
        content = manifest.sidecar(
            about, key, size, self.job.archive_sha256, packs=packs
        )
        return parse_sidecar(content, sidecar_key(key))
