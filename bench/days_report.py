"""What ``bench.days`` has measured, as a table, and beside each target whether it was
reached."""

import statistics

MIB = 1 << 20
HEAD = (
    "wall s",
    "CPU",
    "CPU pg",
    "dump",
    "files",
    "store",
    "peak MiB",
    "stored MiB",
    "read MiB",
    "requests",
    "temp MiB",
)
REQUESTS, PER_REQUEST = 60, 16 << 20  # and one for so many bytes in each direction
MOST_PACKS = 4
PACK = 256 << 20


def middle(rounds):
    """Return by contender and kind the median of each number, over days and rounds."""
    found = {}
    for name in dict.fromkeys(name for one in rounds for name in one):
        runs = [run for one in rounds for run in one.get(name, [])]
        found[name] = {
            key: statistics.median([run[key] for run in runs])
            for key, value in runs[0].items()
            if isinstance(value, int | float)
        }
        for kind in ("parts", "walls"):
            found[name][kind] = {
                part: statistics.median([run[kind].get(part, 0) for run in runs])
                for part in runs[0].get(kind, {})
            }
    return found


def table(found):
    yield f"{'median':<16}" + "".join(f"{head:>11}" for head in HEAD)
    for name, one in found.items():
        walls = one.get("walls", {})
        cells = (
            f"{one['wall']:.2f}",
            f"{one['cpu']:.2f}",
            f"{one['cpu_postgres']:.2f}",
            *(f"{walls.get(part, 0):.2f}" for part in ("dump", "files", "store")),
            f"{one['rss']:.0f}",
            *(f"{one.get(key, 0) / MIB:.1f}" for key in ("stored", "read")),
            f"{one['requests']:.0f}",
            f"{one['temporary'] / MIB:.0f}",
        )
        yield f"{name:<16}" + "".join(f"{cell:>11}" for cell in cells)


def verdicts(found, extras):
    """Yield a line for each target. Its CPU is that of the programs that back up: what
    PostgreSQL takes for a dump is the same for all of them."""
    ours, first = found.get("ours, repeat"), found.get("ours, first")
    whole, whole_first = found.get("zip, repeat"), found.get("zip, first")
    restic, restic_first = found.get("restic, repeat"), found.get("restic, first")
    yield _ratio("repeat / whole zip: CPU", ours, whole, "cpu", 0.15)
    yield _ratio("repeat / whole zip: wall", ours, whole, "wall", 0.18)
    yield _attachments(ours, whole)
    yield _ratio("repeat / restic: CPU", ours, restic, "cpu", 0.5)
    yield _ratio("repeat / restic: wall", ours, restic, "wall", 0.6)
    yield _ratio("first / restic: CPU", first, restic_first, "cpu", 0.5)
    yield _ratio("first / whole zip: CPU", first, whole_first, "cpu", 1.1)
    yield _ratio("first / whole zip: wall", first, whole_first, "wall", 1.1)
    yield _ratio("bytes stored, repeat / whole zip", ours, whole, "stored", 0.1)
    yield _ratio("bytes read of the filestore", ours, whole, "read", 0.05)
    counted = ours if ours and ours["requests"] else extras.get("requests")
    yield _requests("requests of a repeated run", counted)
    yield _requests("requests with 800 packs", extras.get("many packs"))
    memory = extras.get("memory", {})
    names = memory.get("ours"), memory.get("today")
    yield _ratio("peak memory, many names / today's", *names, "rss", 1.2)
    if ours and first:
        packs = max(ours["temporary"], first["temporary"]) / PACK
        yield _line("temporary space, in packs", packs, MOST_PACKS)
    back = found.get("ours, restore"), found.get("restic, restore")
    yield _ratio("restore / restic and psql: wall", *back, "wall", 1.0)


def _attachments(ours, whole):
    if not (ours and whole):
        return f"{'attachments alone / whole zip: CPU':<40} not measured"
    alone = ours["parts"]["files"] + ours["parts"]["list"]
    return _line("attachments alone / whole zip: CPU", alone / whole["cpu"], 0.05)


def _requests(what, run):
    """What may be asked: up goes what was stored, and down the same again."""
    if not run:
        return f"{what:<40} not measured"
    most = REQUESTS + 2 * run["stored"] / PER_REQUEST
    return _line(what, run["requests"], most)


def _ratio(what, one, other, key, most):
    if not one or not other or not other.get(key):
        return f"{what:<40} not measured"
    return _line(what, one[key] / other[key], most)


def _line(what, value, most):
    verdict = "reached" if value <= most else "MISSED"
    return f"{what:<40} {value:9.3f}   at most {most:7.3f}   {verdict}"
