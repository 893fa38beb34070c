"""Packs that no backup needs any more: who may delete them, when that is done, and
what the catalogue knows of the backups."""

import contextlib
from datetime import datetime, timedelta, timezone

from odoo import fields
from odoo.exceptions import UserError

from ... import odoo_config
from ...engine.errors import Cancelled, EngineError
from ...engine.errors.other import NotLookedInTime
from ...engine.packs.needed import KnownCopy, are_nowhere
from ...engine.packs.owner import Owner, Place
from ...engine.packs.prune import Prune
from ...engine.progress import Progress
from ...engine.storages.cancel import time_is_up
from ...runs.prune import PruneRun
from ..packs_obstacle import prune_obstacle_in
from ..states import OPEN_STATES

# copies that must be in a storage's list: the others need no packs
NOTED = ["|", ("manifest_sha256", "!=", False), ("incremental", "=", True)]
AGAIN = timedelta(hours=20)  # a daily plan's runs do not begin on the second


def require_prunable(storage, progress=None):
    """Raise the EngineError of why no packs are deleted in a storage."""
    storage._get_own_storage()
    obstacle = prune_obstacle_in(storage)
    if obstacle:
        raise obstacle
    storage.env["backup.identity"]._require_still_ours(storage, progress=progress)


def owner_in(storage):
    """Return whose packs in a storage are this database's own, and who signs new ones.
    Raise EngineError."""
    present = storage.env["backup.job"]._current_identity()
    keys = frozenset((present.key,))
    with contextlib.suppress(EngineError):  # then files are stored anew
        keys = storage.env["backup.identity"]._standing_in(storage).keys
    taken_over = frozenset(storage.former_uuids or ())
    return Owner(present, keys, odoo_config.signer(), taken_over)


def known_copies(storage):
    """Return the backups that must be in a storage's list: all whose manifest was
    noted, whoever's they are, unless they were deleted."""
    there = [("storage_id", "=", storage.id), ("state", "!=", "deleted"), *NOTED]
    return [
        KnownCopy(
            copy.key,
            int(copy.size),
            copy.manifest_sha256 or "",
            copy.state == "verified",
        )
        for copy in storage.env["backup.copy"].search(there)
    ]


def _lost_in(storages):
    """Return the domain of the copies that are lost, and stop a prune."""
    here = ("storage_id", "in", (storages & with_packs(storages)).ids)
    return [here, ("state", "in", ("missing", "damaged")), *NOTED]


def count_lost(storages):
    """Return how many lost copies stop a prune, by the id of their storage. A damaged
    one is still listed."""
    missing = [*_lost_in(storages), ("state", "=", "missing")]
    found = storages.env["backup.copy"]._read_group(
        missing, ["storage_id"], ["__count"]
    )
    return {storage.id: count for storage, count in found}


def give_up_lost(storage):
    """Note as deleted the lost backups of which nothing is in the storage any more, so
    that they stop no prune; return their copies. Raise EngineError."""
    require_prunable(storage)
    copies = storage.env["backup.copy"].search(_lost_in(storage))
    target, keys = storage._get_own_storage(), copies.mapped("key")
    nowhere = set(are_nowhere(target, keys, Progress()))
    gone = copies.filtered(lambda copy: copy.key in nowhere)
    gone._note_deleted("lost")
    for copy in gone:
        storage.env["backup.audit"]._note("delete", copy, storage.name)
    return gone


def note_unneeded(storage, packs):
    """Write down what no backup needs of a storage that was pruned just now."""
    values = {
        "pruned_at": fields.Datetime.now(),
        "unneeded_packs": len(packs),
        "unneeded_size": sum(pack.size for pack in packs),
    }
    storage.env["backup.job"]._persist(storage, values)


def look(storage, seconds=None):
    """Return what no backup needs in a storage, and change nothing there. Raise
    EngineError: NotLookedInTime after so many seconds."""
    if not seconds:
        return _look(storage, Progress())
    tick = time_is_up(seconds)
    try:
        return _look(storage, Progress(lambda _progress: tick()))
    except Cancelled as error:
        raise NotLookedInTime(seconds=seconds) from error


def _look(storage, progress):
    require_prunable(storage, progress)
    index = odoo_config.packs_path(storage.place_id or "")  # nobody looks into it
    place = Place(storage._get_storage(), index)
    prune = Prune(place, owner_in(storage), known_copies(storage))
    with place.storage.reporting_to(progress):
        return prune.look(datetime.now(timezone.utc), progress)


def with_packs(storages):
    """Return those that hold, or held, incremental backups."""
    found = storages.env["backup.copy"]._read_group(
        [("incremental", "=", True)], ["storage_id"]
    )
    return storages.search([("id", "in", [storage.id for (storage,) in found])])


def request(storages, trigger):
    """Start a run that prunes these storages. Raise UserError without any."""
    if not storages:
        raise UserError(
            storages.env._("There is no storage with incremental backups yet.")
        )
    plans = {_plan_of(storage) for storage in storages}
    plan = plans.pop() if len(plans) == 1 else storages.env["backup.plan"]
    return _create(storages, trigger, plan)._start()


def _create(storages, trigger, plan):
    """Return a new run, or the one that waits for the same storages. A plan has one
    prune at a time: another one beside it is nobody's."""
    jobs = storages.env["backup.job"].sudo()
    prunes = ("kind", "=", PruneRun.kind)
    open_ones = jobs.search([prunes, ("state", "in", OPEN_STATES)])
    for job in open_ones.filtered(lambda job: job.state == "pending"):
        if storages <= job.step_ids.storage_id:
            return job
    steps = PruneRun.planned(storages=storages)
    is_free = plan and plan not in open_ones.plan_id
    return jobs._create_run("prune", steps, trigger, plan_id=is_free and plan.id)


def _plan_of(storage):
    """Return the plan whose people hear when a storage cannot be pruned: the one that
    has last stored an incremental backup there, empty without one."""
    here = [("storage_id", "=", storage.id), ("incremental", "=", True)]
    copies = storage.env["backup.copy"].sudo()
    return copies.search([*here, ("plan_id.active", "=", True)], limit=1).plan_id


def create_due(storages):
    """Create a run of each plan for the storages of ours that have got backups since
    they were last pruned, or hold what nobody needs, once a day."""
    jobs = storages.env["backup.job"]
    since = fields.Datetime.now() - AGAIN
    recent = [("kind", "=", PruneRun.kind), ("create_date", ">", since)]
    waiting = [("kind", "=", PruneRun.kind), ("state", "in", ("pending", "running"))]
    if jobs.search_count(["|", *_all(recent), *_all(waiting)], limit=1):
        return
    due = with_packs(storages).filtered(_is_due)
    for plan, together in due.grouped(_plan_of).items():
        _create(together, "schedule", plan)


def _all(domain):
    return ["&", *domain]


def _is_due(storage):
    if storage.is_foreign or prune_obstacle_in(storage):
        return False
    if storage.env["backup.identity"]._objection(storage):
        return False
    if storage.unneeded_packs or not storage.pruned_at:
        return True
    since = [("storage_id", "=", storage.id), ("create_date", ">", storage.pruned_at)]
    return bool(storage.env["backup.copy"].search_count(since, limit=1))
