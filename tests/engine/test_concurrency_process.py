import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from dfr_backup.engine.concurrency.process import Child


def test_output_status_and_last_words():
    with Child(["sh", "-c", "echo out; echo err >&2; exit 7"], os.environ) as child:
        assert os.read(child.stdout, 100) == b"out\n"
        assert os.read(child.stdout, 100) == b""
        assert child.wait() == 7
        assert child.stderr_tail() == "err"


def test_only_the_end_of_stderr_is_kept():
    script = "for i in $(seq 5000); do echo line $i >&2; done"
    with Child(["sh", "-c", script], os.environ) as child:
        child.wait()
        assert child.stderr_tail().endswith("line 5000")
        assert len(child.stderr_tail()) <= 8192


@pytest.mark.parametrize("trap", ["", "trap '' TERM;"])
def test_leaving_ends_it(trap):
    with Child(
        ["sh", "-c", f"{trap} echo up; sleep 60 & wait; sleep 60"], os.environ
    ) as child:
        os.read(child.stdout, 10)
    assert child.process.returncode in (-signal.SIGTERM, -signal.SIGKILL)


def test_it_dies_with_us(tmp_path):
    script = textwrap.dedent(
        """
        import os, sys, types, time
        package = types.ModuleType("dfr_backup"); package.__path__ = [sys.argv[1]]
        sys.modules["dfr_backup"] = package
        from dfr_backup.engine.concurrency.process import Child
        with Child(["sleep", "60"], os.environ) as child:
            print(child.process.pid, flush=True)
            time.sleep(60)
        """
    )
    import dfr_backup

    parent = subprocess.Popen(
        [sys.executable, "-c", script, dfr_backup.__path__[0]], stdout=subprocess.PIPE
    )
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(50):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().split()[2] == "Z":
                    return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.1)
    raise AssertionError("the child outlived its parent")
