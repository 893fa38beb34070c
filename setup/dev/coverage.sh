#!/usr/bin/env bash
# What the rings engine and storages have covered of the engine, when they were last measured:
#   coverage.sh floor        print it; fail below the floor of pyproject.toml
#   coverage.sh raise        write what was measured into pyproject.toml as the new floor
#   coverage.sh diff [BASE]  fail when less than 95 % of the lines changed since BASE are covered
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"
export COVERAGE_FILE=$DEV/coverage/data
[ -f "$COVERAGE_FILE" ] || fail "nothing is measured yet: make test RINGS=\"engine storages coverage\""

# The last release, else the commit before this one.
base() { git describe --tags --abbrev=0 2>/dev/null || git rev-parse --verify --quiet HEAD~1; }

case ${1:-} in
floor)
    say "Lines and branches of the engine that engine and storages cover"
    python -m coverage report
    ;;
raise)
    now=$(python -m coverage report --format=total --precision=2 --fail-under=0)
    python - "$now" pyproject.toml <<'PY'
import math
import re
import sys
from pathlib import Path

measured = math.floor(float(sys.argv[1]) * 10) / 10
config = Path(sys.argv[2])
text = config.read_text()
floor = float(re.search(r"^fail_under = (\S+)$", text, re.MULTILINE)[1])
if measured < floor:
    sys.exit(f"{measured} % was measured: the floor of {floor} % never falls")
config.write_text(re.sub(r"(?m)^(fail_under = )\S+$", rf"\g<1>{measured}", text))
print(f"the floor is {measured} % now, it was {floor} %")
PY
    ;;
diff)
    since=${2:-$(base)} || fail "there is no earlier commit here: name one (make coverage BASE=…)"
    say "Lines changed since $since"
    python -m coverage xml -q --fail-under=0 -o "$DEV/coverage/coverage.xml"
    diff-cover "$DEV/coverage/coverage.xml" --compare-branch "$since" --diff-range-notation .. \
        --fail-under 95
    ;;
*) fail "usage: coverage.sh floor|raise|diff [BASE]" ;;
esac
