"""The numbers as a table, and beside each target whether it was reached."""

import os
import platform
import re
import statistics
import subprocess
from pathlib import Path

NAMES = {
    "floor": "floor: pg_dump, read files",
    "odoo": "Odoo: db dump",
    "oca": "OCA auto_backup",
    "isal": "dfr_backup, isal",
    "zlib": "dfr_backup, zlib",
}
MIB = 1 << 20
HEAD = [
    "archive s",
    "x Odoo",
    "x floor",
    "whole s",
    "x Odoo",
    "CPU py",
    "CPU pg",
    "x Odoo",
    "foreign",
    "PSS MiB",
    "RSS MiB",
]
HEAD += ["disk MiB", "zip MiB", "x Odoo"]


def medians(rounds):
    """Return per contender the median of each number over the rounds."""
    result = {}
    for name in NAMES:
        runs = [one[name] for one in rounds if name in one and "archiving" in one[name]]
        if runs:
            numbers = {
                k for run in runs for k, v in run.items() if isinstance(v, (int, float))
            }
            result[name] = {
                key: statistics.median([run[key] for run in runs if key in run])
                for key in numbers
            }
    return result


def table(middle):
    odoo, floor = middle.get("odoo", {}), middle.get("floor", {})
    lines = [f"{'median':<26}" + "".join(f"{head:>10}" for head in HEAD)]
    for name, one in middle.items():
        cells = [
            _number(one.get("archiving")),
            _ratio(one.get("archiving"), odoo.get("archiving")),
            _ratio(one.get("archiving"), floor.get("archiving")),
            _number(one.get("whole")),
            _ratio(one.get("whole"), odoo.get("archiving")),
            _number(one.get("cpu_python")),
            _number(one.get("cpu_postgres")),
            _ratio(_cpu(one), _cpu(odoo)),
            _number(one.get("cpu_foreign")),
            _number(one.get("pss_mib"), 0),
            _number(one.get("rss_mib"), 0),
            _number(_mib(one.get("extra_disk")), 0),
            _number(_mib(one.get("size")), 0),
            _ratio(one.get("size"), odoo.get("size")),
        ]
        lines.append(f"{NAMES[name]:<26}" + "".join(f"{cell:>10}" for cell in cells))
    return lines


def verdicts(middle, registry, web):
    """Yield one line for each target of the issue."""
    odoo, floor = middle.get("odoo", {}), middle.get("floor", {})
    ours, slow = middle.get("isal", {}), middle.get("zlib", {})
    wall, size = odoo.get("archiving"), odoo.get("size")
    yield _verdict("isal: archive / Odoo's dump", ours.get("archiving"), wall, 0.105)
    yield _verdict("zlib: archive / Odoo's dump", slow.get("archiving"), wall, 1 / 5)
    yield _verdict(
        "isal: archive / floor", ours.get("archiving"), floor.get("archiving"), 1.25
    )
    yield _verdict("isal: whole job / Odoo's dump", ours.get("whole"), wall, 1 / 7)
    yield _verdict("isal: size / Odoo's", ours.get("size"), size, 1.07)
    yield _verdict(
        "isal: extra disk / archive", ours.get("extra_disk"), ours.get("size"), 0.01
    )
    above = ours["rss_mib"] - registry if ours.get("rss_mib") and registry else None
    yield _verdict(f"isal: MiB above a registry ({registry:.0f})", above, 1, 150)
    yield _verdict("isal: CPU with start-up / Odoo's", _cpu(ours), _cpu(odoo), 1 / 7)
    for name, one in web["requests"].items() if web else ():
        yield _verdict(f"web: {name}, during / idle", one["during"], one["idle"], 1.3)


def _verdict(what, value, base, target):
    if value is None or not base:
        return f"{what:<40} not measured"
    ratio = value / base
    verdict = "reached" if ratio <= target else "MISSED"
    return f"{what:<40} {ratio:9.3f}   at most {target:7.3f}   {verdict}"


def machine():
    """Return what was measured on; no names."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    pg_dump = subprocess.run(
        ["pg_dump", "--version"], capture_output=True, text=True
    ).stdout
    odoo = subprocess.run(["odoo", "--version"], capture_output=True, text=True).stdout
    return {
        "cpu": f"{cpu[1] if cpu else '?'} x {os.cpu_count()}",
        "memory": f"{int(memory[1]) / MIB:.0f} GiB" if memory else "?",
        "python": platform.python_version(),
        "pg_dump": pg_dump.strip(),
        "odoo": odoo.strip(),
    }


def _cpu(one):
    """CPU seconds in all: what other work on the machine changes least."""
    return one["cpu_python"] + one["cpu_postgres"] if "cpu_python" in one else None


def _mib(value):
    return None if value is None else value / MIB


def _number(value, digits=1):
    return "-" if value is None else f"{value:,.{digits}f}"


def _ratio(value, base):
    return f"{value / base:.3f}" if value is not None and base else "-"
