"""How storages were when they were last used, or tested since then."""

USES = ("upload", "verify")  # steps that tell how a storage is
STATES = [
    ("foreign", "Read-only"),
    ("never", "Never used"),
    ("tested", "Tested"),
    ("test_failed", "Test failed"),
    ("used", "Used"),
    ("upload_failed", "Upload failed"),
    ("verify_failed", "Verification failed"),
]


def health_of(storages):
    """Return, by each storage, a key of ``STATES``, a tone, and the moment; with as
    many queries for all as for one."""
    last = _last_uses(storages)
    return {one: _health(one, last.get(one._origin.id)) for one in storages}


def search_health(storages, operator, states):
    """Return the domain of the storages that are in one of these states, as a search
    method does."""
    if operator != "in":
        return NotImplemented
    every = health_of(storages.with_context(active_test=False).search([]))
    found = [one.id for one, health in every.items() if health["state"] in states]
    return [("id", "in", found)]


def _last_uses(storages):
    steps = storages.env["backup.step"]
    uses = [("storage_id", "in", storages._origin.ids), ("kind", "in", USES)]
    ended = [*uses, ("state", "in", ("success", "warning", "failure"))]
    newest = steps._read_group(ended, ["storage_id"], ["id:max"])
    found = {storage.id: number for storage, number in newest}
    records = {step.id: step for step in steps.browse(found.values())}
    return {storage: records[number] for storage, number in found.items()}


def _health(storage, step):
    if storage.is_foreign:
        return {"state": "foreign", "tone": "danger", "at": False}
    tested, used = storage.last_test, step and step.date_end
    failed = bool(storage.last_test_error)
    # what began before a test may have gone on with what was right then
    known = step and step.date_start if failed else used
    if tested and (not known or tested > known):
        state, at = "test_failed" if failed else "tested", tested
    elif used:
        failed = step.state == "failure"
        state, at = f"{step.kind}_failed" if failed else "used", used
    else:
        return {"state": "never", "tone": "warning", "at": False}
    return {"state": state, "tone": "danger" if failed else "success", "at": at}
