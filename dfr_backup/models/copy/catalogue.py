"""The one place where the catalogue notes what a storage holds: for runs, imports and
scans."""

import contextlib

from odoo import fields

from ...engine.catalog.facts import catalogue_facts, owner_of
from ...engine.catalog.scan import read_sidecar
from ...engine.errors import EngineError, Mismatch, PermanentError
from ...engine.errors.archive import NoManifestBeside
from ...engine.errors.fetch import ArchiveMissing
from ...engine.errors.trust import WrongSignature
from ...engine.manifest.names import PACK, sidecar_key
from ...engine.messages import Message
from ...runs import words
from ...runs.records import DAMAGED
from ..free_space import columns_of_space
from ..moments import to_odoo_datetime
from .states import MANIFEST_FACTS, PRESENT_STATES

SIGNED = (*MANIFEST_FACTS, "signature")


class Catalogue:
    """What a run, ``job``, writes into the catalogue."""

    @property
    def _copies(self):
        return self.job.env["backup.copy"]

    def _persist(self, records, values):
        self.job._persist(records, values)

    # === OF A RUN === #

    def record_stored(self, storage, sidecar, known, values):
        """Create the record of an archive in a storage, or update the one that is
        ``known``."""
        if not known:
            about = self._values_of(storage, sidecar(), known)
            # nothing is known of the manifest beside it but what the run has noted
            about = {name: fact for name, fact in about.items() if name not in SIGNED}
            values = {**about, **values}
            known = self._copies.create(values)
        self._persist(known, values)

    def record_again(self, storage, sidecar):
        """Note that an archive that was lost from its storage is stored again: it is
        the same copy."""
        here = [("storage_id", "=", storage.id), ("key", "=", sidecar.key)]
        lost = self._copies.search([*here, ("state", "!=", "deleted")], limit=1)
        values = self._values_of(storage, sidecar, lost.browse())
        self._persist(lost, {k: v for k, v in values.items() if k not in SIGNED})

    # === OF A SCAN === #

    def record_scan(self, storage, found, progress):
        """Write down what a storage holds: new copies, and what became of known
        ones."""
        here = [("storage_id", "=", storage.id), ("state", "!=", "deleted")]
        known = {copy.key: copy for copy in self._copies.search(here)}
        for item in found:
            if item.sidecar:
                copy = known.pop(item.key, self._copies)
                if _is_replaced(copy, item.sidecar):
                    self._record_replaced(copy, progress)
                else:
                    self._record_found(storage, item, copy, progress)
                progress.tick()
            else:
                problem = item.problem.message
                progress.log(Message(words.NOT_USABLE, key=item.key, problem=problem))
        unreadable = {
            item.key
            for item in found
            if not item.sidecar and not isinstance(item.problem, NoManifestBeside)
        }
        for plan in self._unclear_plans(found):
            progress.warn(Message(words.SAME_NAME, plan=plan))
        for copy in known.values():
            damaged = not unreadable.isdisjoint({copy.key, sidecar_key(copy.key)})
            self._record_lost(copy, damaged, progress)
        now = fields.Datetime.now()
        self._persist(storage, {"last_scan": now, "listed_at": now})

    def note_listed(self, storage, progress, sizes):
        """Note which copies are there, given the listing of their storage. What is gone
        is noted as missing."""
        here = [("storage_id", "=", storage.id), ("state", "in", PRESENT_STATES)]
        copies = self._copies.search(here)
        there = copies.filtered(lambda copy: copy.key in sizes)
        now = fields.Datetime.now()
        self._persist(there, {"seen_at": now})
        for copy in copies - there:
            self._record_lost(copy, False, progress)
        packs = sum(size for key, size in sizes.items() if PACK.fullmatch(key))
        self._persist(storage, {"packs_size": packs})
        # whether all packs are there, only a scan of the sidecars tells
        if not any(copies.mapped("incremental")):
            self._persist(storage, {"listed_at": now})
        self._note_space(storage, now)

    def _note_space(self, storage, now):
        """Note how much is free, where the storage tells."""
        with contextlib.suppress(EngineError):
            free = storage._get_storage().free_space()
            self._persist(storage, columns_of_space(free, now))

    def note_bad_pack(self, storage, use):
        """Note that every backup of a storage is damaged that needs this pack as it
        should be: what a changed manifest calls it says nothing about the others."""
        self._persist(self.job, {"bad_packs": self.job.bad_packs + 1})
        here = [("storage_id", "=", storage.id), ("state", "in", PRESENT_STATES)]
        target = storage._get_storage()
        for copy in self._copies.search([*here, ("incremental", "=", True)]):
            with contextlib.suppress(PermanentError):  # its own look will say why
                sidecar = read_sidecar(target, sidecar_key(copy.key))
                packs = {(each.key, each.sha256) for each in sidecar.packs or ()}
                if (use.key, use.sha256) in packs:
                    self._persist(copy, DAMAGED)

    def note_unread_packs(self, count):
        """Note that packs could not be read tonight, nor in an earlier night."""
        unread = self.job.unread_packs + count
        self._persist(self.job, {"unread_packs": unread})

    def _record_found(self, storage, item, copy, progress):
        values = self._values_of(storage, item.sidecar, copy)
        values["state"] = _state_of(item, copy)
        if not item.problem:
            values["seen_at"] = fields.Datetime.now()
        if not item.sidecar.sha256 and copy and _is_same(copy, item.sidecar):
            del values["sha256"]  # a verification may have noted it
        if values.get("signature") == "wrong":
            values["state"] = "damaged"
            progress.warn(WrongSignature(key=item.key).in_full)
        if values["state"] == "damaged":
            values |= DAMAGED
        if copy.is_ours and copy.sha256:  # what a verification has compared
            for name in SIGNED:
                values.pop(name, None)
        if copy.plan_id:
            del values["plan_id"]  # the manifest has the name that the plan had then
        if not copy:
            copy = copy.create(values)
        self._persist(copy, values)

    def _record_replaced(self, copy, progress):
        """Note that the storage has another backup in the place of this one, and warn
        once."""
        if copy.state != "damaged":
            progress.warn(Message(words.NOW_REPLACED, key=copy.key))
            self._persist(copy, DAMAGED)

    def _record_lost(self, copy, unreadable, progress):
        """Note what became of a copy that was not found, and warn once."""
        values = DAMAGED if unreadable else {"state": "missing"}
        if copy.state != values["state"] and copy.job_id.state != "running":
            template = words.NOW_DAMAGED if unreadable else words.NOW_MISSING
            progress.warn(Message(template, key=copy.key))
            self._persist(copy, values)

    # === WHAT A MANIFEST SAYS === #

    def _values_of(self, storage, sidecar, copy):
        """Return the values of a copy in a storage, as its manifest has them, whoever
        has found or written that."""
        run = sidecar.import_job or sidecar.job
        job = self.job.search([("uuid", "=", run)], limit=1)
        plan = job.plan_id or self._plan_named(sidecar.plan)
        # what was taken in from elsewhere follows no plan's rules
        ours = not sidecar.imported_by and storage._owns(*owner_of(sidecar))
        facts = catalogue_facts(sidecar)
        return {
            "storage_id": storage.id,
            "key": sidecar.key,
            "job_id": job.id,
            "plan_id": ours and plan.id,
            **{name: facts[name] for name in facts if name not in MANIFEST_FACTS},
            **copy._noted_of(sidecar),
        }

    def _plan_named(self, name):
        """Return the plan of that name, empty where several have it."""
        found = self._plans_named(name)
        return found if len(found) == 1 else found.browse()

    def _plans_named(self, name):
        plans = self.job.env["backup.plan"].with_context(active_test=False)
        return plans.search([("name", "=", name)])

    def _unclear_plans(self, found):
        """Return the names in what a scan has found that several plans have."""
        names = {item.sidecar.plan for item in found if item.sidecar}
        return sorted(name for name in names if len(self._plans_named(name)) > 1)


def _state_of(found, known):
    """Return the state of a copy after a scan, which looks at sizes but reads no
    archive."""
    if found.problem:
        return "missing" if isinstance(found.problem, ArchiveMissing) else "damaged"
    # what was read back says more than a size: only another verification overrules it
    read = known and known.state in ("verified", "damaged")
    return known.state if read and _is_same(known, found.sidecar) else "stored"


def _is_replaced(copy, sidecar):
    """Tell whether a storage holds another backup under the name of one of ours: what
    we know of it, its storage cannot change."""
    if not copy.is_ours or not copy.sha256 or copy.origin == "odoo":
        return False
    try:
        copy._catalogued().refuse_other(sidecar)
    except Mismatch:
        return True
    return False


def _is_same(copy, sidecar):
    """Tell whether a scan has found what is known; a zip of Odoo's has no checksum to
    tell."""
    if sidecar.sha256:
        return copy.sha256 == sidecar.sha256
    return copy.size == sidecar.size and copy.date == to_odoo_datetime(sidecar.taken_at)
