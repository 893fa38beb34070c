"""Where a run keeps packs of attachment files, whose they are, and for whom they are
encrypted."""

import contextlib

from ... import odoo_config
from ...engine.packs.freeing import forget_others, remember, remembered
from ...engine.packs.owner import PackEncryption, Place
from ...engine.packs.terms import REWRITE, TERMS
from ...engine.progress import Progress
from ..copy.states import PRESENT_STATES
from ..plan.incremental import obstacle_of, passphrase_mark
from ..storage import pruning
from .part import Part


class Packs(Part):
    def obstacle(self):
        """Return why this run stores complete zips although its plan is incremental,
        an EngineError; None when nothing is in the way."""
        return obstacle_of(self.job.plan_id)

    def index(self, storage):
        """Return the folder of this server that remembers what the packs of a storage
        hold which was used already."""
        return odoo_config.packs_path(storage.place_id)

    def note_needs(self, storage, key, uses):
        """Remember on this server which packs a backup in a storage needs, given the
        key of its archive."""
        if storage.place_id:
            with contextlib.suppress(OSError):  # only a preview asks for it
                remember(self.index(storage), key, uses)

    def note_scanned(self, storage, keys, size):
        """Forget what was known of other backups, and write down the bytes of all packs
        that these need."""
        if storage.place_id:
            with contextlib.suppress(OSError):
                forget_others(self.index(storage), keys)
        self.job._persist(storage, {"packs_size": size + storage.unneeded_size})

    def place(self, storage):
        """Return a storage, and the folder of this server that remembers what the packs
        there hold. Raise EngineError."""
        target = storage._get_own_storage()
        watch = Progress(lambda _progress: self.context.cancel.check())
        # from now on the location has an id
        target.with_retries(target.admit, watch)
        return Place(target, self.index(storage))

    def owner(self, storage):
        """Return whose packs in a storage are this database's own, and who signs new
        ones. Raise EngineError."""
        return pruning.owner_in(storage)

    def require_prunable(self, storage):
        """Raise the EngineError of why no packs are deleted in a storage."""
        pruning.require_prunable(storage)

    def known(self, storage):
        """Return the backups that must be in a storage's list."""
        return pruning.known_copies(storage)

    def note_unneeded(self, storage, packs):
        """Write down what no backup needs of a storage that was pruned just now."""
        pruning.note_unneeded(storage, packs)

    def terms(self, storage):
        """Return the numbers of packs in a storage, for this run."""
        return REWRITE if storage.rewrite_packs else TERMS

    def note_rewritten(self, storage):
        """Let the next runs make packs in a storage as usual again."""
        self.job._persist(storage, {"rewrite_packs": False})

    def note_not_listed(self, storage):
        """Let the backups in a storage be complete, until it is tested."""
        self.job._persist(storage, {"can_list": False})

    def note_lock_refused(self, storage):
        """Let the next backups in a storage be complete, until it is tested."""
        self.job._persist(storage, {"lock_refused": True})

    def encryption(self):
        """Return for whom packs are encrypted, None when they are not. Raise
        PermanentError."""
        key = self.context.plan.encryption_key()
        if key is None:
            return None
        if self.job.encryption == "passphrase":
            return PackEncryption(passphrase_mark(self.job.plan_id), key)
        return PackEncryption.for_recipients(key)

    def new_bytes(self, storage, files):
        """Return about how many bytes of attachments a run stores in a storage, rather
        too many: those that have come since its last incremental backup, and where
        packs are rewritten, all of those that it needs in part."""
        here = [("storage_id", "=", storage.id), ("state", "in", PRESENT_STATES)]
        last = self.job.env["backup.copy"].search(
            [*here, ("incremental", "=", True)], limit=1
        )
        new = max(0, files - int(last.packed_size))
        if not storage.rewrite_packs:
            return new
        uses = last and remembered(self.index(storage), last.key)
        if not uses:
            return files
        small = REWRITE.small_bytes
        again = [u.size for u in uses if u.wanted is not None or u.size < small]
        return min(files, new + sum(again))
