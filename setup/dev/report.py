"""Print the steps of a run as a table to stderr, and the path of its archive to stdout.

report.py RUN.json
"""

import json
import sys
from pathlib import Path

MIB = 1 << 20


def main(path):
    run = json.loads(Path(path).read_text())
    for step in run["steps"]:
        size = f"{step['bytes'] / MIB:9.1f} MiB" if step["bytes"] else ""
        name = step["kind"] + (f" ({step['storage']})" if step["storage"] else "")
        print(
            f"  {name:<24} {step['state']:<8} {step['seconds']:6.1f} s {size}",
            file=sys.stderr,
        )
    print(f"  {run['job']['state']} in {run['job']['seconds']:.0f} s", file=sys.stderr)
    print(next(copy["path"] for copy in run["copies"] if copy["state"] == "verified"))


if __name__ == "__main__":
    main(*sys.argv[1:])
