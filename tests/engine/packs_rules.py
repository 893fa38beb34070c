"""The rules that keep the laws of ``packs_law``, as data: in which function each
stands, and what that is without it. The walk must miss each one.

    python tests/engine/packs_walk.py --rules [NAME]
"""

import inspect
import sys
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass

from dfr_backup.engine.packs import index, locking, needed, prune, storing
from dfr_backup.engine.packs.index import Index
from dfr_backup.engine.packs.listing import Listing
from dfr_backup.engine.packs.maker import PackMaker
from dfr_backup.engine.packs.owner import Owner
from dfr_backup.engine.packs.prune import Prune
from dfr_backup.engine.packs.reading import StoredBackup


@dataclass(frozen=True)
class Rule:
    """A rule stands in the function ``what`` of a module or class, as the text
    ``old``: with ``new`` in its place, it is switched off. ``step`` is the kind of step
    in which that is missed soonest."""

    name: str
    step: str
    where: object
    what: str
    old: str
    new: str

    @contextmanager
    def switched_off(self):
        function = vars(self.where)[self.what]
        source = textwrap.dedent(inspect.getsource(function))
        if source.count(self.old) != 1:
            raise LookupError(f"{self.what} does not say once: {self.old}")
        found = {}
        code = compile(source.replace(self.old, self.new), self.what, "exec")
        exec(code, vars(sys.modules[function.__module__]), found)  # noqa: S102
        setattr(self.where, self.what, found[self.what])
        try:
            yield
        finally:
            setattr(self.where, self.what, function)


RULES = [
    # === WHAT COUNTS AS STORED === #
    Rule(
        "a condemned pack does not count",
        "take_back",
        Index,
        "_may_count",
        "and not listing.is_condemned(stored.key)",
        "",
    ),
    Rule(
        "a pack without its sidecar does not count",
        "cut",
        Index,
        "_remembered",
        "if beside and own",
        "if own",
    ),
    Rule(
        "a pack of another size does not count",
        "cut",
        Index,
        "_counts",
        "(about.key, about.size) == (stored.key, stored.size)",
        "True",
    ),
    Rule(
        "a pack for other keys does not count",
        "change_keys",
        Index,
        "_counts",
        "return same and about.mark == self._mark",
        "return same",
    ),
    Rule(
        "a damaged file of the index is not believed",
        "damage_index",
        index,
        "_read",
        "if left or stream.read(DIGEST + 1) != digest.digest():",
        "if False:",
    ),
    Rule(
        "the index is asked whose a pack is",
        "clone",
        Index,
        "_remembered",
        "self._owner.owns(about.identity)",
        "True",
    ),
    Rule(
        "whose key has signed is asked for",
        "take_over",
        Owner,
        "vouches",
        "signature is None or self.signer.judge(signature) != HERE",
        "signature is None",
    ),
    Rule(
        "for which database was signed is asked for",
        "clone",
        Owner,
        "vouches",
        "return self.owns(Identity.from_json(signature.identity))",
        "return True",
    ),
    Rule(
        "what a wrong signature says is not believed",
        "forge",
        Index,
        "_read_in",
        "if self._owner.forged(signature):",
        "if False:",
    ),
    Rule(
        "a pack that nobody vouches for says whose it is",
        "clone",
        Index,
        "_read_in",
        "if not vouched and not self._owner.owns(about.identity):",
        "if False:",
    ),
    Rule(
        "a pack that nobody vouches for is read in full",
        "take_over",
        Index,
        "_read_in",
        "storage.verify(about.key, about.size, about.sha256, progress)",
        "None",
    ),
    Rule(
        "each file of a pack that nobody vouches for has its SHA-1",
        "forge",
        index,
        "_require_named",
        "!= sha1.hexdigest()",
        "== ''",
    ),
    # === STORING === #
    Rule(
        "a damaged file goes into no pack",
        "rot",
        PackMaker,
        "add_prepared",
        "None if prepared.note else self._pack_for(digest)",
        "self._pack_for(digest)",
    ),
    Rule(
        "a pack is read back",
        "lie",
        PackMaker,
        "_put",
        "storage.verify(about.key, about.size, about.sha256, progress)",
        "None",
    ),
    Rule(
        "an archive is read back",
        "lie",
        storing,
        "store",
        "storage.verify(key, archive.size, archive.sha256, again)",
        "None",
    ),
    Rule(
        "all packs are listed before the sidecar is written",
        "race",
        storing,
        "store",
        "listing = _require_packs(storage, packed, progress, retries)",
        "listing = Listing({})",
    ),
    Rule(
        "all packs are listed after the sidecar was written",
        "race",
        storing,
        "store",
        'checkpoint("packs.named")\n        _require_packs(storage, packed, progress,',
        "str(storage); (progress,",
    ),
    Rule(
        "a backup that has failed is withdrawn",
        "race",
        storing,
        "store",
        "storage.delete(beside)",
        "None",
    ),
    Rule(
        "a condemned pack does not stay",
        "race",
        Listing,
        "keeps",
        "and not self.is_condemned(use.key)",
        "",
    ),
    Rule(
        "a pack that is not listed does not stay",
        "race",
        Listing,
        "keeps",
        "self.has(use.key, use.size)",
        "True",
    ),
    Rule(
        "no object is stored over another one",
        "at_once",
        PackMaker,
        "_key",
        "if {key, condemned_key(key)} & self._listing.objects.keys():",
        "if False:",
    ),
    # === LOCKS === #
    Rule(
        "packs are locked as long as the backup that names them",
        "night",
        storing,
        "store",
        "lock_packs(place, packed.uses, lock, listing, progress, retries)",
        "None",
    ),
    Rule(
        "a lock that ends too early is extended",
        "night",
        storing,
        "lock_packs",
        "or not known[k].covers(lock)",
        "",
    ),
    Rule(
        "the lock of another object says nothing",
        "move",
        locking,
        "_known",
        "if found and found.modified.timestamp() == modified:",
        "if True:",
    ),
    Rule(
        "a backup is locked when it is sure that it stays",
        "race",
        storing,
        "store",
        "storage.put_passing(data, beside)",
        "storage.put_bytes(data, beside)",
    ),
    Rule(
        "what is locked is not deleted",
        "kill",
        Prune,
        "_unneeded",
        "due = due and locked is None",
        "",
    ),
    Rule(
        "a condemnation has no lock",
        "week",
        prune,
        "condemn",
        "storage.put_passing(",
        "storage.put_bytes(",
    ),
    # === PRUNING === #
    Rule(
        "packs that a backup needs stay",
        "race",
        Prune,
        "_unneeded",
        "key not in needs.packs and",
        "",
    ),
    Rule(
        "a backup that cannot be read may need any pack",
        "newer",
        needed,
        "_read",
        "if _is_foreign(listing, key, data):",
        "if True:",
    ),
    Rule(
        "one that was changed after it was signed stops a prune",
        "replace",
        needed,
        "_read",
        "if owner.forged(sidecar.signature):",
        "if False:",
    ),
    Rule(
        "a backup of the catalogue is in the list",
        "gap",
        prune,
        "require_listed",
        "if not (there and sidecar and noted",
        "if sidecar and not (there and noted",
    ),
    Rule(
        "it is there as it was noted",
        "replace",
        prune,
        "require_listed",
        'noted in ("", sidecar.file_sha256)',
        "sidecar",
    ),
    Rule(
        "the same backups are listed again",
        "flaky",
        Prune,
        "_require_unchanged",
        "list(before.manifests()) == list(after.manifests())",
        "True",
    ),
    Rule(
        "what is not needed is condemned first",
        "race",
        Prune,
        "_unneeded",
        "due = since is not None and",
        "due = since is None or",
    ),
    Rule(
        "it is condemned for longer than a list is late",
        "race",
        Prune,
        "_is_due",
        "if now - since < self._terms.grace:",
        "if False:",
    ),
    Rule(
        "the condemnation goes last",
        "race",
        Prune,
        "_delete",
        "self._storage.delete(pack.key)",
        "self._storage.delete(condemned_key(pack.key)); self._storage.delete(pack.key)",
    ),
    Rule(
        "the sidecar of a pack goes with it, or later",
        "race",
        Prune,
        "_is_left",
        "return gone and",
        "return False and",
    ),
    Rule(
        "what a killed prune has left is removed",
        "kill",
        Prune,
        "_is_gone",
        "not listed and",
        "False and",
    ),
    Rule(
        "a pack that is not listed is asked for",
        "gap",
        Prune,
        "_is_gone",
        "and not any(map(self._storage.stat, packs))",
        "",
    ),
    Rule(
        "another database's packs are not deleted",
        "week",
        Prune,
        "_is_own",
        "self._owner.owns(about.identity) or not about.identity.uuid",
        "True",
    ),
    Rule(
        "a pack that was changed after it was signed stays",
        "forge",
        Prune,
        "_is_own",
        "or self._owner.forged(about.signature)",
        "",
    ),
    Rule(
        "what a kill has left is deleted",
        "kill",
        Prune,
        "_is_own",
        "if beside not in listing.objects:\n        return True",
        "if beside not in listing.objects:\n        return False",
    ),
    Rule(
        "a new pack is not condemned",
        "race",
        Prune,
        "_condemn",
        "if old and pack.since is None:",
        "if pack.since is None:",
    ),
    Rule(
        "two backups were stored since",
        "prune",
        Prune,
        "_is_due",
        ">= self._terms.backups",
        ">= 0",
    ),
    Rule(
        "they were verified",
        "doubt",
        Prune,
        "_backups_since",
        "sidecar.key in verified",
        "True",
    ),
    Rule(
        "a backup of the catalogue has its archive",
        "gap",
        prune,
        "require_listed",
        "and listing.has(copy.key, copy.size)",
        "",
    ),
    # === READING === #
    Rule(
        "the packs hold what the archive says",
        "trim",
        StoredBackup,
        "require_content",
        "if summed(merged(held)).to_json() != {**self.manifest().packed}:",
        "if False:",
    ),
]


def without(name):
    """Return the rules with that in their name."""
    return [rule for rule in RULES if name in rule.name]
