"""The catalogue, rebuilt from what a storage holds."""

from ..engine.catalog.scan import scan
from ..engine.manifest.sidecar import Sidecar
from ..engine.messages import Message, _
from ..engine.progress import Progress
from .base import Run
from .records import StorageRecord
from .registry import register
from .steps import SCAN
from .words import PROBLEM_AT

MOST_REMEMBERED = 256 << 20  # bytes, of which files backups want in packs


@register("scan")
class ScanRun(Run):
    """One step for each storage."""

    label = "Scan"
    asked_anywhere = True  # what is to be brought back must be found first
    STEPS = (SCAN,)

    def again(self) -> object:
        return self.job.step_ids.storage_id.action_scan()

    def scan(self, progress: Progress, storage: StorageRecord) -> None:
        """Read every manifest, compare it with its archive, and write down what is
        there."""
        target = storage._get_storage()
        sizes: dict[str, int] = {}  # of the packs that any backup needs
        owner, room = self.context.packs.owner(storage), MOST_REMEMBERED

        def note_needs(sidecar: Sidecar) -> None:
            nonlocal room
            if sidecar.packs is None:
                return
            sizes.update({use.key: use.size for use in sidecar.packs})
            room -= sum(len(use.wanted or b"") for use in sidecar.packs)
            # whoever writes into a storage could fill the disk of this server with it
            if room > 0 and owner.owns(sidecar.identity):
                self.context.packs.note_needs(storage, sidecar.key, sidecar.packs)

        found = target.with_retries(
            lambda: list(scan(target, progress, note_needs)), progress
        )
        self.context.catalogue.record_scan(storage, found, progress)
        keys = {item.key for item in found}
        self.context.packs.note_scanned(storage, keys, sum(sizes.values()))
        for item in found:
            if item.problem:
                # what has no readable manifest may well be somebody else's
                tell = progress.warn if item.sidecar else progress.log
                tell(Message(PROBLEM_AT, where=item.key, problem=item.problem))
        good = sum(not item.problem for item in found)
        progress.log(
            Message(
                _("Complete backups: %(good)s, other manifests: %(others)s"),
                good=good,
                others=len(found) - good,
            )
        )
