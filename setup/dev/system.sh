#!/usr/bin/env bash
# System packages: installed when we may, else named in one line.
source "$(dirname "$0")/common.sh"

missing=()
need() { # need PACKAGE TEST…
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
need python3-venv python3 -m ensurepip --version
need postgresql-$PG_MAJOR test -x /usr/lib/postgresql/$PG_MAJOR/bin/initdb
need postgresql-client-$PG_MAJOR test -x /usr/lib/postgresql/$PG_MAJOR/bin/pg_dump
need git command -v git
need unzip command -v unzip
need chromium command -v chromium
need fonts-dejavu-core test -d /usr/share/fonts/truetype/dejavu
need util-linux command -v setpriv
need libmagic1 sh -c 'ldconfig -p | grep -q libmagic.so.1'

# the servers that tests/storages talks to, and the reference program for encrypted archives
need radosgw command -v radosgw
need ceph-mon command -v ceph-mon
need ceph-osd command -v ceph-osd
need ceph-common command -v ceph-authtool
need openssh-server test -x /usr/sbin/sshd
need openssh-client command -v ssh-keygen
need openssl command -v openssl
need age command -v age
# tests/faults lets fourteen days pass
need faketime command -v faketime

[ ${#missing[@]} = 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail "please install these packages, then run the same command again: ${missing[*]}"
fi
say "Installing system packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Debian's package makes a cluster of its own on installation; ours is private
guard=/etc/postgresql-common/createcluster.d/dfr_backup.conf
mkdir -p "$(dirname "$guard")"
echo "create_main_cluster = false" >"$guard"
trap 'rm -f "$guard"' EXIT
apt-get update -q >&2
apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
