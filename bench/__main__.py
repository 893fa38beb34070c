"""Measure, print, remember: ``python -m bench``. It reports; it never fails on a
number."""

import argparse
import json
import sys

from . import contenders, content, places, report
from .web import measure_web


def main():
    options = _options()
    lock = places.only_one()
    places.prepare()
    _say(f"Database with {options.size} MiB of SQL and of attachments (built once)")
    database = content.ensure(options.size)
    names = [name for name in options.only.split(",") if name in contenders.CONTENDERS]
    if not places.has_oca():
        names = [name for name in names if name != "oca"]
    rounds = []
    try:
        for number in range(options.rounds):
            rounds.append({})
            _round(number, names, database, rounds[-1])
    except KeyboardInterrupt:
        _say("Interrupted: what follows is what was measured so far")
    registry = contenders.registry_mib(database)
    web = measure_web(database) if options.web else None
    middle = report.medians(rounds)
    result = {
        "size_mib": options.size,
        "machine": report.machine(),
        "median": middle,
        "registry_mib": registry,
        "web": web,
        "rounds": rounds,
    }
    places.RESULT.write_text(json.dumps(result, indent=2))
    _print(result, middle)
    lock.close()


def _options():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--size", type=int, default=1024, help="MiB of SQL, and of attachments"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", default="floor,odoo,oca,isal,zlib", help="who takes part"
    )
    parser.add_argument(
        "--web", action="store_true", help="how long requests take, too"
    )
    return parser.parse_args()


def _round(number, names, database, results):
    """Everybody once, in turned order, so that none is always after the same one."""
    turn = number % len(names)
    for name in names[turn:] + names[:turn]:
        places.empty(places.TMP)
        places.forget(places.filestore(database))
        results[name] = one = contenders.CONTENDERS[name](database)
        _say(
            f"round {number + 1} {name:<6} archive {one.get('archiving', 0):7.2f} s  "
            f"whole {one.get('whole', 0):7.2f} s  foreign CPU "
            f"{one['cpu_foreign']:6.1f} s  {one.get('problem', '')}"
        )


def _print(result, middle):
    machine = result["machine"]
    print(
        f"\n{result['size_mib']} MiB of SQL and of attachments, "
        f"{len(result['rounds'])} rounds"
    )
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print("\n".join(report.table(middle)))
    for name, one in middle.items():
        if one.get("sql"):
            print(f"  {name}: dump.sql shrinks {one['sql'] / one['sql_packed']:.2f}x")
    print("\n".join(report.verdicts(middle, result["registry_mib"], result["web"])))
    for name, one in result["web"]["requests"].items() if result["web"] else ():
        idle, during = one["idle"] * 1000, (one["during"] or 0) * 1000
        print(
            f"  {name}: {idle:.1f} ms idle, {during:.1f} ms in a backup "
            f"({one['count']} times)"
        )
    problems = {
        f"{name}: {one['problem']}"
        for results in result["rounds"]
        for name, one in results.items()
        if "problem" in one
    }
    print("\n".join(sorted(problems)))


def _say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
