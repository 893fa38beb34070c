"""What stands for Docker and Kubernetes where there is neither: the containers of
``examples/`` are processes of this machine, whose files lie below a folder. What they
run, with which environment and secrets, is read from the examples."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import yaml
from conftest import DEV, FAULTS, PYCACHE, REPO, Instance, _ordinary, free_port
from waits import until

sys.path.append(str(REPO / "tests/engine"))
from standby import Server

EXAMPLES = REPO / "examples"
PAGE = (REPO / "docs/containers.rst").read_text()
ENTRY_POINT = [sys.executable, Path(__file__).with_name("entry_point.py")]
# a path of a container, or of a machine that is not this one
FOLDERS = [
    "run/secrets",
    "var/lib/odoo",
    "opt/odoo-addons",
    "mnt/extra-addons",
    "etc/odoo-conf",
    "etc/odoo",
    "srv",
    "data",
    "tmp",
]
OF_A_CONTAINER = rf"(?<![\w./-])/(?:{'|'.join(FOLDERS)})\b"
BUSY = 10  # so many times as long a machine may take that has other things to do
MARK = "TESTED_SERVICE"
TOOLS = ("docker", "kubectl")
# the tools write down how they were called; what a line has left is there for the next
RECORDER = "{name}() {{ printf '%s\\0' {name} \"$@\" >&3; printf '\\n' >&3; }}\n"
DATABASE_CONF = """
fsync = off
listen_addresses = '127.0.0.1'
jit = off
"""


def block(heading):
    """Return the first block of a section of the page."""
    section = PAGE.partition(f"\n\n{heading}\n===")[2]
    section = re.split(r"\n\n.+\n===", section)[0]
    found = re.search(r"::\n\n((?:    .*\n|\n(?=    ))+)", section)
    assert found, f"the page has no more commands of “{heading}”"
    return textwrap.dedent(found[1])


def typed(script, folder):
    """Do what a reader does in ``folder`` with a block of the page; return how docker
    and kubectl were called, in their order."""
    head = "set -e -o pipefail\n" + "".join(RECORDER.format(name=t) for t in TOOLS)
    calls = folder / ".calls"
    with open(calls, "wb") as stream:
        done = subprocess.run(
            ["bash", "-c", f"exec 3>&{stream.fileno()}\n{head}{script}"],
            cwd=folder,
            pass_fds=[stream.fileno()],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, script + done.stderr
    lines = calls.read_text().split("\0\n")[:-1]
    calls.unlink()
    return [line.split("\0") for line in lines]


class Host:
    """Where the containers run. ``root`` has their files; ``database`` and ``s3_port``
    are their neighbours."""

    def __init__(self, folder):
        self.folder, self.root = folder, folder / "root"
        self.s3_port, self.http_port = free_port(), free_port()
        self.services = {}
        self.database = None
        for name in (*FOLDERS, "bin"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "opt/odoo-addons/dfr_backup").symlink_to(REPO / "dfr_backup")
        self._install("odoo", DEV / "bin/start_odoo.py")

    def _install(self, name, script):
        """Put a program on the PATH, which finds nothing of ours by itself."""
        path = self.root / "bin" / name
        root = os.environ["PYTHONPATH"].split(":")[-1]
        path.write_text(
            f"#!/bin/sh\nPYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}} "
            f'exec {sys.executable} {script} "$@"\n'
        )
        path.chmod(0o755)

    def here(self, text):
        """Return a text of the examples with the paths and addresses of this host."""
        ours = rf"{re.escape(str(self.root))}\S*|({OF_A_CONTAINER})"
        text = re.sub(ours, self._below_root, text)
        text = text.replace("/usr/bin/odoo", f"{self.root}/bin/odoo")
        return text.replace("http://s3:9000", f"http://127.0.0.1:{self.s3_port}")

    def _below_root(self, found):
        return f"{self.root}{found[1]}" if found[1] else found[0]

    def environ(self, **variables):
        return {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "HOME": str(self.root / "tmp"),
            "PYTHONPYCACHEPREFIX": PYCACHE,
            **{name: self.here(value) for name, value in variables.items()},
        }

    def start(self, name, argv, environ):
        """Start what goes on until the host ends."""
        with open(self.folder / f"{name}.log", "ab") as stream:
            process = subprocess.Popen(
                _ordinary(map(str, argv)),
                env={**environ, MARK: f"{self.root}/{name}"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self.services[name] = process
        return process

    def stop(self, name, seconds):
        """End a service as systemd does with KillMode=mixed, and Docker its container:
        SIGTERM for its first process alone, then SIGKILL for whatever is left. Return
        the exit status."""
        process = self.services.pop(name)
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(BUSY * seconds)
        self.kill(name)
        return process.wait()

    def kill(self, name):
        """End all processes of a service, those in sessions of their own as well."""

        def left():
            for pid in _group(f"{MARK}={self.root}/{name}\0"):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                    yield pid

        until(lambda: not list(left()), seconds=60)

    def run(self, argv, environ, text=""):
        """Run a command in a container, which gets ``text``; return its process when it
        has ended."""
        return subprocess.run(
            _ordinary([self.here(str(word)) for word in argv]),
            env=environ,
            cwd="/",
            input=text,
            capture_output=True,
            text=True,
            timeout=900,
        )

    def start_database(self, user, password):
        """Start a PostgreSQL as its official image does: with a user and a password."""
        folder = Path(tempfile.mkdtemp(prefix="dfr_setups_", dir="/var/tmp"))
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, "postgres")
        self.database = Server(folder)
        file = folder / "password"
        file.write_text(password)
        file.chmod(0o644)
        words = ("-A", "scram-sha-256", "--pwfile", file, "-E", "UTF8", "-N")
        self.database.run("initdb", "-D", self.database.data, "-U", user, *words)
        self.database.start(DATABASE_CONF)

    def end(self):
        for name in list(self.services):
            self.stop(name, seconds=10)
        if self.database:
            self.database.stop()
            shutil.rmtree(self.database.folder)


def faulty(fault):
    """Return what lets the processes of a service do what a test wants."""
    return {"DFR_TEST_FAULT": fault, "PYTHONPATH": FAULTS} if fault else {}


def _group(mark):
    """Return the processes that a service manager would count to a service. Those that
    have ended and were not waited for are none."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


class Compose:
    """The services of ``examples/compose``, in a copy of it."""

    def __init__(self, host):
        self.host, self.folder = host, host.folder / "compose"
        shutil.copytree(EXAMPLES / "compose", self.folder)
        for name in ("compose.yaml", "odoo.conf"):
            path = self.folder / name
            path.write_text(host.here(path.read_text()))
        # beside whatever listens on 8069 here
        with open(self.folder / "odoo.conf", "a") as conf:
            print(
                f"http_interface = 127.0.0.1\nhttp_port = {host.http_port}", file=conf
            )
        self.whole = yaml.safe_load((self.folder / "compose.yaml").read_text())

    def do(self, call):
        """Do what ``docker`` was told; return the process of a command in a
        container."""
        assert call[:2] == ["docker", "compose"]
        if call[2] == "exec":
            return self.exec(*call[3:])
        assert call[2:] == ["up", "-d", "--build"]
        return self.up()

    def up(self):
        for name, secret in self.whole["secrets"].items():
            link = self.host.root / "run/secrets" / name
            link.symlink_to(self.folder / secret["file"])
        self.host.start_database(*self.login())
        self._start_s3()
        self._start_odoo()

    def _start_odoo(self, fault=None):
        environ = self.environ() | faulty(fault)
        self.host.start("odoo", [*ENTRY_POINT, "odoo"], environ)

    def restart_odoo(self, seconds, fault=None):
        self.host.stop("odoo", seconds)
        self._start_odoo(fault)

    def login(self):
        """Return the user of the database, and its password."""
        db = self.whole["services"]["db"]["environment"]
        return db["POSTGRES_USER"], Path(
            db["POSTGRES_PASSWORD_FILE"]
        ).read_text().strip()

    def _start_s3(self):
        service = self.whole["services"]["s3"]
        (text,) = service["command"]
        text = text.replace("$$", "$").replace(
            ":9000", f"127.0.0.1:{self.host.s3_port}"
        )
        argv = [*service["entrypoint"], text]
        self.host.start("s3", argv, self.host.environ())

    def environ(self):
        """Return the environment of Odoo's container. A name that Docker's own name
        server knows stands for this machine."""
        found = dict(self.whole["services"]["odoo"]["environment"])
        assert found["HOST"] in self.whole["services"]
        found |= {"HOST": "127.0.0.1", "PORT": str(self.host.database.port)}
        return self.host.environ(**found)

    def exec(self, service, *command, text=""):
        """Docker runs a command beside the entry point, not through it."""
        assert service == "odoo"
        if command[0] == "/entrypoint.sh":
            command = (*ENTRY_POINT, *command[1:])
        return self.host.run(command, self.environ(), text)


class Kubernetes:
    """The manifests, with secrets as ``kubectl`` makes them."""

    def __init__(self, host, folder):
        self.host, self.folder = host, folder
        self._secrets, self._pods, self._seconds = {}, {}, {}

    def do(self, call):
        """Do what ``kubectl`` was told; return the process of a command in a pod."""
        assert call[0] == "kubectl"
        if call[1:4] == ["create", "secret", "generic"]:
            self._secrets[call[4]] = dict(self._parts(call[5:]))
        elif call[1:3] == ["apply", "-f"]:
            self.apply(self.folder / call[3])
        else:
            assert call[1] == "exec"
            assert call[3] == "--"
            return self.host.run(call[4:], self.environ(call[2].partition("/")[2]))
        return None

    def _parts(self, options):
        for option in options:
            how, _equals, value = option.partition("=")
            if how == "--from-literal":
                name, _equals, value = value.partition("=")
                yield name, value
            else:
                assert how == "--from-file"
                yield Path(value).name, (self.folder / value).read_text()

    def apply(self, path):
        """Make the pods of a manifest known, with the files that they mount."""
        for document in yaml.safe_load_all(path.read_text()):
            spec = document["spec"].get("jobTemplate", document)["spec"]
            if "template" in spec:
                self._make(document["metadata"]["name"], spec["template"]["spec"])

    def _make(self, name, pod):
        (container,) = pod["containers"]
        self._pods[name] = container
        self._seconds[name] = pod.get("terminationGracePeriodSeconds", 30)
        mounts = {
            mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]
        }
        for volume in pod["volumes"]:
            if "secret" in volume:
                place = Path(self.host.here(mounts[volume["name"]]))
                for file, text in self._secrets[volume["secret"]["secretName"]].items():
                    (place / file).write_text(text)

    def environ(self, pod):
        container = self._pods[pod]
        found = {entry["name"]: entry["value"] for entry in container["env"]}
        for source in container["envFrom"]:
            found |= self._secrets[source["secretRef"]["name"]]
        return self.host.environ(**found)

    def _argv(self, pod):
        """Return what a pod is made for: its arguments are those of the entry point."""
        return [*ENTRY_POINT, *self._pods[pod]["args"]]

    def run(self, pod):
        return self.host.run(self._argv(pod), self.environ(pod))

    def start(self, pod):
        self.host.start(pod, self._argv(pod), self.environ(pod))

    def stop(self, pod):
        return self.host.stop(pod, self._seconds[pod])


def seen_from_outside(host, database, user, password):
    """Return a database of the host as an instance, to look at it and to call it."""
    seen = Instance(database, host.folder)
    seen.data = host.root / "var/lib/odoo"
    login = {"db_user": user, "db_password": password}
    place = {"db_host": "127.0.0.1", "db_port": str(host.database.port)}
    seen.options |= login | place | {"http_port": str(host.http_port)}
    return seen
