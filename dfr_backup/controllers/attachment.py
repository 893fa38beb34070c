"""One attachment out of a stored backup, on its way to a browser."""

from werkzeug.exceptions import Conflict, NotFound
from werkzeug.wsgi import FileWrapper

from odoo import http
from odoo.exceptions import UserError
from odoo.http import request

from .numbers import whole_number

PIECE = 256 << 10  # bytes


class Attachment(http.Controller):
    @http.route(
        "/dfr_backup/attachment/<string:number>/<string:token>",
        type="http",
        auth="user",
        methods=["GET"],
        readonly=True,
    )
    def attachment(self, number, token):
        """Send one file, once all of it was read and found right."""
        found = request.env["backup.browse.file"]._from_token(
            whole_number(number), token
        )
        if not found:
            raise NotFound()
        try:
            stream, size, name = found.sudo()._fetch()
        except UserError as error:
            raise Conflict(str(error)) from error
        headers = {
            # whatever it claims to be: it is saved, and never shown by our own address
            "Content-Type": "application/octet-stream",
            "X-Content-Type-Options": "nosniff",
            "Content-Length": str(size),
            "Content-Disposition": http.content_disposition(name),
            "Cache-Control": "private, no-store",
        }
        return request.make_response(FileWrapper(stream, PIECE), headers)
