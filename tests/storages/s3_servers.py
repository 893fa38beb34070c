"""S3 servers on loopback, each a context manager that yields a ``Server`` and kills
it after."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ACCESS_KEY = "TESTACCESSKEY0000001"
SECRET_KEY = "testsecretkey/testsecretkey+0000000001"
OTHER_KEY = "TESTACCESSKEY0000002"
KMS_KEY = "testkey-1"
KMS_VALUE = "YmluCmJvb3N0CmJvb3N0LWJ1aWxkCmNlcGguY29uZgo="  # 32 bytes
HOST = "127.0.0.1"
# what the test machine trusts and who it is must not change what a test shows
FOREIGN = ("AWS_", "SSL_CERT_", "REQUESTS_CA_", "CURL_CA_", "CEPH_")

CEPH_CONF = """
[global]
fsid = 11111111-2222-3333-4444-555555555555
mon initial members = a
mon host = [v2:{host}:{mon},v1:{host}:{mon1}]
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
paxos propose interval = 0.05
paxos min wait = 0.01
public addr = {host}
cluster addr = {host}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
run dir = {top}/run
admin socket = {top}/run/$name.$pid.asok
log file = {top}/log/$name.log
keyring = {top}/keyring
[mon.a]
mon data = {top}/mon
mon cluster log file = {top}/log/cluster.log
[osd]
osd data = {top}/osd
osd objectstore = memstore
memstore device bytes = {size}
[client.rgw]
rgw data = {top}/rgw
rgw frontends = beast {frontends}
rgw thread pool size = 16
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = {kms}
rgw dynamic resharding = false
rgw gc obj min wait = 1
rgw gc processor period = 1
rgw bucket quota ttl = 0
"""


@dataclass
class Server:
    """Where a server listens; ``processes`` in the order in which they are to be
    killed."""

    url: str
    secure_url: str = ""
    ca: str = ""
    top: Path = Path()
    processes: list = field(default_factory=list)

    def kill(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()

    def admin(self, *arguments):
        """Run radosgw-admin (Ceph only)."""
        command = ["radosgw-admin", "-n", "client.rgw", *arguments]
        return _run(
            command,
            self.top,
            environment() | {"CEPH_CONF": str(self.top / "ceph.conf")},
        )


def environment():
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN)
    }


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, seconds):
    """Return once something listens. Raise when the process ended, or after so many
    seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(
                f"{process.args[0]} ended with status {process.returncode}"
            )
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args} does not listen after {seconds} s")


def make_certificate(top):
    """Return the paths of a certificate for 127.0.0.1 and of its key."""
    certificate, key = top / "certificate.pem", top / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
    options = [
        "-nodes",
        "-days",
        "2",
        "-keyout",
        key,
        "-out",
        certificate,
        "-subj",
        "/CN=localhost",
    ]
    options += ["-addext", f"subjectAltName=IP:{HOST},DNS:localhost"]
    _run([*command.split(), *options], top)
    return certificate, key


@contextmanager
def rgw(top, size=1 << 30):
    """Ceph's gateway with http and https, and a store of ``size`` bytes in memory."""
    for name in ("mon", "osd", "rgw", "log", "run"):
        (top / name).mkdir()
    certificate, key = make_certificate(top)
    plain, secure, mon, mon1 = free_port(), free_port(), free_port(), free_port()
    frontends = f"endpoint={HOST}:{plain} ssl_endpoint={HOST}:{secure}"
    frontends += f" ssl_certificate={certificate} ssl_private_key={key}"
    (top / "ceph.conf").write_text(
        CEPH_CONF.format(
            host=HOST,
            top=top,
            mon=mon,
            mon1=mon1,
            size=size,
            frontends=frontends,
            kms=f"{KMS_KEY}={KMS_VALUE}",
        )
    )
    server = Server(
        f"http://{HOST}:{plain}", f"https://{HOST}:{secure}", str(certificate), top
    )
    try:
        _start_cluster(server, mon, mon1)
        gateway = _start(server, ["radosgw", "-n", "client.rgw", "-f"])
        wait_for_port(secure, gateway, 90)
        wait_for_port(plain, gateway, 90)
        yield server
    finally:
        server.kill()


def _start_cluster(server, mon, mon1):
    top, env = server.top, environment() | {"CEPH_CONF": str(server.top / "ceph.conf")}
    keyring, monmap = top / "keyring", top / "monmap"
    caps = {
        "mon.": ["mon", "allow *"],
        "client.admin": ["mon", "allow *", "--cap", "osd", "allow *"],
        "client.rgw": ["mon", "allow rw", "--cap", "osd", "allow rwx"],
        "osd.0": ["mon", "allow profile osd", "--cap", "osd", "allow *"],
    }
    for number, (name, cap) in enumerate(caps.items()):
        create = [] if number else ["--create-keyring"]
        command = [
            "ceph-authtool",
            *create,
            keyring,
            "--gen-key",
            "-n",
            name,
            "--cap",
            *cap,
        ]
        _run(command, top, env)
    address = f"[v2:{HOST}:{mon},v1:{HOST}:{mon1}]"
    fsid = "11111111-2222-3333-4444-555555555555"
    _run(
        ["monmaptool", "--create", "--addv", "a", address, "--fsid", fsid, monmap],
        top,
        env,
    )
    make = ["ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring]
    _run(make, top, env)
    wait_for_port(mon, _start(server, ["ceph-mon", "-i", "a", "-f"]), 90)
    osd = "22222222-2222-3333-4444-555555555555"
    _run(["ceph", "osd", "new", osd], top, env)
    _run(["ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd], top, env)
    _run(["ceph", "osd", "crush", "add", "osd.0", "1", "root=default"], top, env)
    _start(server, ["ceph-osd", "-i", "0", "-f"])
    for user, access_key in (("main", ACCESS_KEY), ("other", OTHER_KEY)):
        options = ["--uid", user, "--display-name", user]
        options += ["--access-key", access_key, "--secret-key", SECRET_KEY]
        server.admin("user", "create", *options)


@contextmanager
def rclone(top, secure=False, port=None):
    """rclone's server, a sloppy one: it checks little, and forgets uploads when it
    ends."""
    port = port or free_port()
    (top / "data").mkdir(exist_ok=True)
    command = [
        "rclone",
        "serve",
        "s3",
        "--config",
        "/dev/null",
        "--addr",
        f"{HOST}:{port}",
    ]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--vfs-cache-mode", "full"]
    command += ["--cache-dir", str(top / "cache"), str(top / "data")]
    server = Server(f"http://{HOST}:{port}", top=top)
    if secure:
        certificate, key = make_certificate(top)
        command += ["--cert", str(certificate), "--key", str(key)]
        server.url, server.ca = f"https://{HOST}:{port}", str(certificate)
    try:
        wait_for_port(port, _start(server, command), 90)
        yield server
    finally:
        server.kill()


@contextmanager
def moto(top):
    """moto's server: no real one, but it echoes what the others do not know."""
    port = free_port()
    server = Server(f"http://{HOST}:{port}", top=top)
    try:
        wait_for_port(
            port, _start(server, ["moto_server", "-H", HOST, "-p", str(port)]), 90
        )
        yield server
    finally:
        server.kill()


def _start(server, command):
    """Start a program that ends with us, and write down what it says."""
    env = environment() | {"CEPH_CONF": str(server.top / "ceph.conf")}
    with open(server.top / f"{Path(command[0]).name}.log", "ab") as log:
        process = subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                shutil.which(command[0]) or command[0],
                *command[1:],
            ],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server.processes.insert(0, process)
    return process


def _run(command, top, env=None):
    with open(top / "setup.log", "ab") as log:
        done = subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            timeout=60,
        )
    if done.returncode:
        said = (top / "setup.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{command[0]} ended with status {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")


def client(url, ca="", access_key=ACCESS_KEY):
    """Return a plain boto3 client, for what a test prepares or looks at behind our
    back."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=SECRET_KEY,
        verify=ca or None,
        config=Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def new_bucket(url, ca="", **options):
    """Make a bucket, and return its name."""
    name = f"test-{secrets.token_hex(6)}"
    client(url, ca).create_bucket(Bucket=name, **options)
    return name


def config(url, bucket, ca="", **values):
    """Return the configuration of a storage of ours."""
    from dfr_backup.engine.storages.s3.config import S3Config

    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "addressing": "path"}
    return S3Config(
        **{"bucket": bucket, "endpoint": url, "ca_bundle": ca, **keys, **values}
    )
