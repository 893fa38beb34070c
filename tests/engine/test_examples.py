"""The examples are held to the code, and to themselves: what they name exists."""

import ast
import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
EXAMPLES = REPO / "examples"
COMPOSE = EXAMPLES / "compose"
MANIFESTS = sorted((EXAMPLES / "kubernetes").glob("*.yaml"))
CONF = COMPOSE / "odoo.conf"
STORAGE_NAME = "offsite"  # as odoo.conf of the example has it
COMMAND = re.compile(r"odoo,? backup,? ([a-z]+)((?:,? -{0,2}[\w-]+)*)")


def compose():
    return yaml.safe_load((COMPOSE / "compose.yaml").read_text())


def documents():
    return [d for path in MANIFESTS for d in yaml.safe_load_all(path.read_text())]


def pods():
    """Return the specification of every pod."""
    found = []
    for document in documents():
        spec = document["spec"]
        if document["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            found.append(spec["template"]["spec"])
    assert len(found) >= len(MANIFESTS)
    return found


def conf():
    parser = configparser.RawConfigParser()
    parser.read_string(CONF.read_text())
    return dict(parser["options"])


def console_words():
    """Return the commands, and the options, that the command line knows."""
    tree = ast.parse((REPO / "dfr_backup/console/__init__.py").read_text())
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def text_files():
    return [p for p in EXAMPLES.rglob("*") if p.is_file()]


def test_commands_exist():
    known, found = console_words(), []
    pages = [*text_files(), REPO / "docs/containers.rst"]
    for path in pages:
        for command, rest in COMMAND.findall(path.read_text()):
            found.append(command)
            assert command in known, path
            for option in re.findall(r"(?<![\w-])--?[a-z][\w-]*", rest):
                assert option in known, (path, option)
    assert {"run", "doctor", "worker"} <= set(found)


def test_options_of_the_configuration_exist():
    source = (REPO / "dfr_backup/odoo_config.py").read_text()
    models = "".join(p.read_text() for p in (REPO / "dfr_backup/models").rglob("*.py"))
    prefix = f"dfr_backup_{STORAGE_NAME}_"
    ours = [name for name in conf() if name.startswith("dfr_backup_")]
    assert ours
    for name in ours:
        field = name.removeprefix(prefix)
        if field == name:
            assert f'"{name}"' in source, name
        elif field != "databases":
            assert f"    {field} = fields." in models, name
    pages = [p for p in text_files() if p.parent.name not in ("prometheus", "grafana")]
    for path in [*pages, REPO / "docs/containers.rst"]:
        for name in re.findall(r"\bdfr_backup_[a-z_]+\b", path.read_text()):
            # what is read by ``_setting`` may stand in a file that is named instead
            in_file = f'_setting("{name.removesuffix("_file")}")'
            known = f'"{name}"' in source or in_file in source
            assert name.startswith(prefix) or known, (path, name)


def test_compose_names_what_it_has():
    whole = compose()
    for service in whole["services"].values():
        assert set(service.get("secrets", ())) <= whole["secrets"].keys()
        assert set(service.get("depends_on", ())) <= whole["services"].keys()
        named = {volume.split(":")[0] for volume in service["volumes"]}
        assert named <= whole["volumes"].keys()
        values = [*service.get("environment", {}).values(), *service.get("command", ())]
        paths = re.findall(r"/run/secrets/([\w.]+)", " ".join(values))
        assert set(paths) == set(service.get("secrets", ()))


def test_odoo_in_compose_may_do_little():
    odoo = compose()["services"]["odoo"]
    assert odoo["read_only"]
    assert odoo["cap_drop"] == ["ALL"]
    assert "user" not in odoo, "the image is not root"
    assert odoo["stop_grace_period"]
    data = conf()["data_dir"]
    assert [v for v in odoo["volumes"] if v.endswith(f":{data}")]
    secrets = [n for n in odoo["environment"] if "PASSWORD" in n]
    assert secrets == ["PASSWORD_FILE"]


def test_the_image_is_built_of_what_there_is():
    build = compose()["services"]["odoo"]["build"]
    top = (COMPOSE / build["context"]).resolve()
    assert top == REPO
    text = (top / build["dockerfile"]).read_text()
    copied = re.findall(r"(?m)^COPY (\S+) (\S+)$", text)
    assert copied
    for source, target in copied:
        assert (top / source).exists()
        assert str(Path(target).parent) in conf()["addons_path"].split(",")
    last_user = re.findall(r"(?m)^USER (\S+)$", text)[-1]
    assert last_user == "odoo"
    wanted = re.findall(r"(?m)^(\w+)", (REPO / "requirements.txt").read_text())
    brought = {name for name in wanted if re.search(rf"\b(python3-)?{name}\b", text)}
    assert {"boto3", "isal", "paramiko"} <= brought


def test_pods_are_sound():
    for pod in pods():
        assert pod["enableServiceLinks"] is False
        user = pod["securityContext"]
        assert user["runAsNonRoot"]
        assert isinstance(user["runAsUser"], int)
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
            assert set(mounts.values()) <= volumes
            assert {"/tmp", conf()["data_dir"]} <= mounts.keys()
            (rc,) = [e["value"] for e in container["env"] if e["name"] == "ODOO_RC"]
            assert str(Path(rc).parent) in mounts
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"]
            assert not rights["allowPrivilegeEscalation"]


def test_nothing_runs_twice():
    kinds = {}
    for document in documents():
        kinds.setdefault(document["kind"], []).append(document["spec"])
    for deployment in kinds["Deployment"]:
        assert deployment["replicas"] == 1
        assert deployment["strategy"]["type"] == "Recreate"
        labels = deployment["template"]["metadata"]["labels"]
        assert deployment["selector"]["matchLabels"] == labels
    for job in kinds["CronJob"]:
        assert job["concurrencyPolicy"] == "Forbid"
        assert job["jobTemplate"]["spec"]["backoffLimit"] == 0
    claims = {
        d["metadata"]["name"]
        for d in documents()
        if d["kind"] == "PersistentVolumeClaim"
    }
    for pod in pods():
        for volume in pod["volumes"]:
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            assert claim is None or claim in claims


@pytest.mark.parametrize(
    "path", sorted((EXAMPLES / "systemd").rglob("*.*")), ids=lambda path: path.name
)
def test_units_end_odoo_first(path):
    if path.is_dir():
        return
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read_string(path.read_text())
    assert unit["Service"]["KillMode"] == "mixed"


@pytest.fixture
def units(tmp_path):
    """The folder of a service manager: the worker, and Odoo with the drop-in. Programs
    of the examples need not be here."""
    for path in (EXAMPLES / "systemd").rglob("*.*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(EXAMPLES / "systemd")
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(path.read_text().replace("/usr/bin/odoo", "/bin/true"))
    (tmp_path / "odoo.service").write_text("[Service]\nExecStart=/bin/true\n")
    return tmp_path


def objections(units):
    """Return the names of the files that systemd has something against."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    path = f"{units}:/usr/lib/systemd/system"
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(units.glob("*.service"))],
        env={**os.environ, "SYSTEMD_UNIT_PATH": path},
        capture_output=True,
        text=True,
    ).stderr
    return {path.name for path in units.rglob("*.*") if path.name in said}


def test_systemd_reads_the_units(units):
    assert objections(units) == set()
    for path in units.rglob("*.*"):
        if path.is_file():
            wrong = path.read_text().replace("KillMode=mixed", "KillMode=both")
            path.write_text(wrong)
    assert objections(units) >= {"backup.conf", "odoo-backup-worker.service"}


def test_every_file_is_explained():
    pages = [REPO / "docs" / name for name in ("containers.rst", "monitoring.rst")]
    page = "".join(path.read_text() for path in pages)
    names = [p.name for p in text_files() if p.name not in ("README.md", ".gitignore")]
    assert [name for name in names if name not in page] == []
