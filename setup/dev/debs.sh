# shellcheck shell=bash
# Packages of another suite of Debian, unpacked somewhere: nothing of the system changes. The mirror
# is the one that this machine's apt uses already. Source it, after common.sh.

command -v apt-get >/dev/null || fail "no apt here: $APT_LESS"

# shellcheck disable=SC2016 # apt fills it in
apt_site() { apt-get indextargets --format '$(SITE)' 2>/dev/null | head -n 1; }

# open_suite SUITE: from now on apt_in looks at that suite alone.
open_suite() {
    local mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    apt_state=$DEV/apt/$1
    rm -rf "$apt_state"
    mkdir -p "$apt_state/lists/partial" "$apt_state/cache/archives/partial" "$apt_state/debs"
    mirror=$(apt_site)
    if [ -z "$mirror" ]; then # a machine that never ran apt-get update
        apt-get update -q >&2
        mirror=$(apt_site)
    fi
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$1" >"$apt_state/sources.list"
    : >"$apt_state/status"
    apt_in apt-get update >&2
}

# apt_in apt-get|apt-cache ARGUMENT…
apt_in() {
    local program=$1
    shift
    "$program" -q -o "Dir::State::Lists=$apt_state/lists" -o "Dir::Cache=$apt_state/cache" \
        -o "Dir::State::status=$apt_state/status" \
        -o "Dir::Etc::sourcelist=$apt_state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o "APT::Sandbox::User=$(id -un)" "$@"
}

# fetch_debs NAME[=VERSION]…: into the suite's own directory
fetch_debs() (
    cd "$apt_state/debs" || exit
    apt_in apt-get download "$@" >&2
)

# unpack_debs DIRECTORY: all that was fetched; the suite is closed then
unpack_debs() {
    local deb
    mkdir -p "$1"
    for deb in "$apt_state"/debs/*.deb; do
        dpkg-deb -x "$deb" "$1"
    done
    rm -rf "$apt_state"
}
