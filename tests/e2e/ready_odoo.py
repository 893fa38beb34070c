"""An Odoo that has imported its code, and turns into a command at once: it forks for
each order, as Odoo's own prefork server does for its workers.

    ready_odoo.py SOCKET MODULE…

Imports take most of the processor time of a short command. An order is a JSON object of
``argv`` and ``environ``, sent with four files: the command's stdin, stdout and stderr,
and where the answers go. These are the command's process, and then its exit status.
"""

import gc
import json
import os
import random
import signal
import socket
import sys

import odoo.cli
import odoo.cli.shell
from odoo.modules.module import Manifest, initialize_sys_path, load_openerp_module
from odoo.tools import config


def load(module):
    """Import an addon after those that it depends on, as a registry does."""
    for needed in Manifest.for_addon(module)["depends"]:
        load(needed)
    load_openerp_module(module)


def next_order(orders):
    """Return, in a new process each time, the next order. Leave when nobody is there
    to give one."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        message, files, *_ = socket.recv_fds(orders, 1 << 18, 4)
        if not message:
            sys.exit()
        if not os.fork():
            break
        for file in files:
            os.close(file)
    orders.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    answers = socket.socket(fileno=files.pop())
    if command := os.fork():
        await_end(command, answers)
    answers.close()
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    return json.loads(message)


def await_end(command, answers):
    answers.send(str(command).encode())
    _pid, status = os.waitpid(command, 0)
    answers.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def main():
    initialize_sys_path()
    for module in sys.argv[2:]:
        load(module)
    gc.collect()
    gc.freeze()  # or each process copies the pages of all objects that it looks through
    order = next_order(socket.socket(fileno=int(sys.argv[1])))
    os.environ.clear()
    os.environ.update(order["environ"])
    random.seed()
    sys.argv = order["argv"]
    config._parse_config()  # of the new environment
    odoo.cli.main()


if __name__ == "__main__":
    main()
