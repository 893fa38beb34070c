"""A random walk: so many rounds of a random fault at a random time.

make faults ROUNDS=500 SEED=7
"""

import random
import shutil
import time

import pytest
from far import LARGE, add_bucket
from instances import made_instance
from lab import DRILL, REQUEST, RESTORE, SUPERVISE, Lab, kill
from s3_servers import moto
from tcp_proxy import Proxy, Rule

TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = %s AND application_name LIKE 'dfr\\_backup%%'"
)


@pytest.fixture(scope="module")
def place(template, tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk")
    with (
        moto(tmp_path_factory.mktemp("server")) as server,
        Proxy(int(server.url.rpartition(":")[2])) as proxy,
        made_instance(template, folder, "walk") as instance,
        Lab(instance) as lab,
    ):
        lab.driver.do(LARGE)
        add_bucket(lab, server.url, f"http://127.0.0.1:{proxy.port}")
        lab.proxy = proxy
        begun = time.monotonic()
        first = lab.run()
        assert first.state == "success", first.errors
        lab.longest = time.monotonic() - begun
        yield lab


class Round:
    """One run and what is done to it."""

    def __init__(self, lab, dice):
        self.lab = lab
        self.dice = dice
        self.copy = f"{lab.instance.database}_walk"
        codes = {
            REQUEST: 6,
            DRILL.format(count=1): 1,
            RESTORE.format(count=1, name=self.copy): 1,
        }
        self.code = dice.choices([*codes], [*codes.values()])[0]
        self.fault = dice.choice(
            [self.kill, self.term, self.cancel, self.end_sessions, self.end_pg_dump,
             self.delete_work, self.kill_all, self.cut, self.hold, self.nothing]
        )  # fmt: skip
        self.moment = dice.uniform(0, lab.longest)

    def __str__(self):
        kind = (
            "backup"
            if self.code == REQUEST
            else self.code.split("_request_")[1].split("(")[0]
        )
        return f"{kind}: {self.fault.__name__} after {self.moment:.2f} s"

    def play(self):
        """Return how it ended."""
        try:
            number = self.lab.start(self.code)
            time.sleep(self.moment)
            self.fault(number)
            outcome = self.lab.settle(number)
            self.lab.check(outcome, restore=self.dice.random() < 0.3)
            self.judge(outcome)
        finally:
            self.lab.proxy.rule = None
            self.lab.drop(self.copy)
        return outcome

    def judge(self, outcome):
        """Nothing here keeps a run from a good end, but a cancel and what was made
        unreadable."""
        allowed = {
            self.cancel: ("success", "partial", "cancelled"),
            self.end_pg_dump: ("success", "partial"),
            self.end_sessions: ("success", "partial", "failure"),
            self.delete_work: ("success", "partial", "failure"),
        }
        assert outcome.state in allowed.get(self.fault, ("success",)), outcome.errors

    def kill(self, number):
        self._send(number, 9)

    def term(self, number):
        self._send(number, 15)

    def cancel(self, number):
        self.lab.driver.do(f'env["backup.job"].browse({number}).action_cancel()')

    def end_sessions(self, _number):
        self.lab.sql(TERMINATE, self.lab.instance.database)

    def end_pg_dump(self, _number):
        for pid, text in self.lab.processes().items():
            if "pg_dump" in text:
                kill(pid)

    def delete_work(self, _number):
        shutil.rmtree(self.lab.instance.work, ignore_errors=True)

    def kill_all(self, _number):
        for pid in self.lab.processes():
            kill(pid)
        self.lab.driver.restart()

    def cut(self, _number):
        self.lab.proxy.rule = Rule("cut", self.dice.randrange(1 << 20), times=2)

    def hold(self, _number):
        self.lab.proxy.rule = Rule("hold", self.dice.randrange(1 << 20), times=1)

    def nothing(self, _number):
        """A round without a fault finds what the one before has left."""

    def _send(self, number, signal_number):
        pid = self.lab.runner(number)
        if pid and pid in self.lab.processes():
            kill(pid, signal_number)


def test_random_walk(place, request, cell):
    rounds = request.config.getoption("--rounds")
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(
        1 << 32
    )
    dice = random.Random(seed)
    violations = []
    for number in range(1, rounds + 1):
        request.config.table.rounds += 1
        step = Round(place, dice)
        try:
            print(f"{number}. {step}: {step.play()}", flush=True)
        except (AssertionError, RuntimeError) as error:
            violations.append(f"round {number}, {step}: {error}")
            print(f"{number}. {step}: VIOLATION {error}", flush=True)
            recover(place)
    result = f"{rounds} rounds, {len(violations)} violations, seed {seed}"
    cell("random walk", "any", result)
    assert not violations, "\n".join([result, *violations])


def test_random_kills(place, request, cell):
    """SIGKILL at any instant, twice in each run: two more attempts are what it has."""
    kills = request.config.getoption("--rounds")
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(
        1 << 32
    )
    dice = random.Random(seed)
    hit, violations = 0, []
    for _ in range((kills + 1) // 2):
        number = place.start()
        try:
            for _ in range(2):
                request.config.table.rounds += 1
                hit += kill_somewhen(place, number, dice.uniform(0, place.longest))
                place.driver.do(SUPERVISE)
            outcome = place.settle(number)
            assert outcome.state == "success", outcome.errors
            place.check(outcome, restore=dice.random() < 0.3)
        except (AssertionError, RuntimeError) as error:
            violations.append(f"seed {seed}: {error}")
            recover(place)
    cell(
        "kill -9",
        "any instant",
        f"{hit} kills, {len(violations)} violations, seed {seed}",
    )
    assert not violations, "\n".join(violations)
    assert hit > kills / 3, "most of them came too late"


def kill_somewhen(lab, number, seconds):
    """Kill the runner so many seconds after this; tell whether there was one."""
    time.sleep(seconds)
    ((state, pid),) = lab.sql("SELECT state, pid FROM backup_job WHERE id = %s", number)
    if state != "running" or pid not in lab.processes():
        return False
    kill(pid)
    until = time.monotonic() + 30
    while pid in lab.processes() and time.monotonic() < until:
        time.sleep(0.05)
    return True


def recover(lab):
    """Let one violation count once."""
    for pid in lab.processes():
        kill(pid)
    lab.driver.restart()
    lab.sql(
        "UPDATE backup_job SET state = 'failure' WHERE state IN ('pending', 'running')"
    )
    lab.sql(
        "UPDATE backup_step SET state = 'failure' WHERE state IN ('pending', 'running')"
    )
    shutil.rmtree(lab.instance.work, ignore_errors=True)
    for path in lab.instance.storage.glob("*.part*"):
        path.unlink()
    client, bucket = lab.bucket
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        client.abort_multipart_upload(
            Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        )
