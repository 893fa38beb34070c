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
        monitor = _monitor("health", token)
        mismatch = request.env["backup.version"]._mismatch()
        report = monitor._version_health(mismatch) if mismatch else monitor._health()
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
        monitor = _monitor("metrics", token)
        mismatch = request.env["backup.version"]._mismatch()
        text = exposition(monitor._version_metrics(mismatch))
        if not mismatch:
            text += exposition(monitor._metrics())
        return request.make_response(text, [("Content-Type", CONTENT_TYPE), NO_STORE])


def _monitor(name, token):
    """Return what monitors read, with all rights, for whoever has the monitor's
    token. Raise NotFound while the monitor is off, Unauthorized for another token."""
    env = request.env(user=SUPERUSER_ID, context={"lang": "en_US"})
    monitor = env["backup.monitor"]
    if not monitor._is_on(name):
        raise NotFound()
    scheme, _space, given = request.httprequest.headers.get(
        "Authorization", ""
    ).partition(" ")
    if not monitor._is_token(name, given if scheme.lower() == "bearer" else token):
        raise Unauthorized(
            www_authenticate=WWWAuthenticate("bearer", {"realm": "dfr_backup"})
        )
    return monitor
