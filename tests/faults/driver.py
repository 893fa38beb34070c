"""An Odoo that does what it is told: one JSON order per line, one JSON answer per line.

    driver.py DATABASE

An order is {"code": Python, "environ": {name: value or null}}. The code finds ``env``,
sets ``result``, and is committed. A process of Odoo for each look at a run would take
seconds each.
"""

import json
import os
import sys
import traceback

from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry
from odoo.service.model import retrying
from odoo.tools import config


def main(database):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Odoo prints is no answer
    config.parse_config(["-d", database, "--no-http"], setup_logging=False)
    for line in sys.stdin:
        try:
            answer = {"result": obey(database, json.loads(line))}
        except Exception:  # noqa: BLE001 - whoever has ordered it is told
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer, default=str), file=answers, flush=True)


def obey(database, order):
    for name, value in order["environ"].items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    with Registry(database).cursor() as cr:
        names = {"env": api.Environment(cr, SUPERUSER_ID, {}), "result": None}

        def perform():
            exec(order["code"], names)  # noqa: S102 - orders of our own tests
            return names["result"]

        return retrying(perform, names["env"])


if __name__ == "__main__":
    main(sys.argv[1])
