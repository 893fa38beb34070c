"""Addresses for monitors. Both are off until the settings have made a token for
them."""

from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import NotFound, Unauthorized

from odoo import SUPERUSER_ID, http
from odoo.http import request

from ..engine.monitoring.metrics import CONTENT_TYPE, exposition

NO_STORE = ("Cache-Control", "no-store")


class Health(http.Controller):
    @http.route(
        "/dfr_backup/health",
        type="http",
        auth="none",
        methods=["GET", "HEAD"],
        save_session=False,
        readonly=True,
    )
    def health(self, token="", **_other):
        """Send how the backups are: 200 when all is well, else 503."""
        plans = _plans("health", token)
        mismatch = request.env["backup.version"]._mismatch()
        report = plans._version_health(mismatch) if mismatch else plans._health()
        status = 200 if report["ok"] else 503
        return request.make_json_response(report, headers=[NO_STORE], status=status)

    @http.route(
        "/dfr_backup/metrics",
        type="http",
        auth="none",
        methods=["GET", "HEAD"],
        save_session=False,
        readonly=True,
    )
    def metrics(self, token="", **_other):
        """Send the metrics in Prometheus' text format."""
        plans = _plans("metrics", token)
        mismatch = request.env["backup.version"]._mismatch()
        text = exposition(plans._version_metrics(mismatch))
        if not mismatch:
            text += exposition(plans._metrics())
        return request.make_response(text, [("Content-Type", CONTENT_TYPE), NO_STORE])


def _plans(monitor, token):
    """Return the model of plans with all rights, for whoever has the monitor's
    token. Raise NotFound while the monitor is off, Unauthorized for another token."""
    env = request.env(user=SUPERUSER_ID, context={"lang": "en_US"})
    plans = env["backup.plan"]
    if not plans._is_monitor_on(monitor):
        raise NotFound()
    scheme, _space, given = request.httprequest.headers.get(
        "Authorization", ""
    ).partition(" ")
    if not plans._is_monitor_token(
        monitor, given if scheme.lower() == "bearer" else token
    ):
        raise Unauthorized(
            www_authenticate=WWWAuthenticate("bearer", {"realm": "dfr_backup"})
        )
    return plans
