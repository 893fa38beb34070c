"""One page to print: what is needed to get the data back, and no secret."""

from werkzeug.exceptions import NotFound

from odoo import http
from odoo.http import request

from ..models.grants import granted
from ..models.plan.recovery_kit import KIT_SCOPE, page_values
from .numbers import whole_number


class RecoveryKit(http.Controller):
    @http.route(
        "/dfr_backup/recovery_kit/<string:number>",
        type="http",
        auth="user",
        methods=["GET"],
    )
    def recovery_kit(self, number, token="", **_other):
        """Send the page of one plan. That it was downloaded is noted for whoever has
        pressed the button: other sites can lead a browser here, too."""
        if not request.env.user.has_group("dfr_backup.group_manager"):
            raise NotFound()
        plan = request.env["backup.plan"].browse(whole_number(number)).exists()
        if not plan:
            raise NotFound()
        page = request.env["ir.qweb"]._render(
            "dfr_backup.recovery_kit", page_values(plan)
        )
        if granted(request.env["backup.plan"], KIT_SCOPE, plan.id, token):
            plan._note_kit()
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-store",
            "Content-Disposition": http.content_disposition(
                f"recovery-kit-{request.db}-{plan.name}.html"
            ),
        }
        return request.make_response(f"<!DOCTYPE html>\n{page}", headers)
