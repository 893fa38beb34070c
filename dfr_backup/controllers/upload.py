"""An archive on its way from a browser: piece by piece, never as a whole in memory."""

from werkzeug.exceptions import NotFound

from odoo import http
from odoo.http import request

from ..engine.catalog.upload_receiver import PIECE
from ..engine.errors import EngineError
from ..models.engine_messages import translate
from .numbers import LARGEST_OFFSET, whole_number


class Upload(http.Controller):
    # the address is a secret of this user's, so that no other site can know it
    @http.route(
        "/dfr_backup/upload/<string:number>/<string:token>",
        type="http",
        auth="user",
        methods=["POST"],
        csrf=False,
        max_content_length=PIECE,
    )
    def upload(self, number, token, offset="0"):
        """Take the piece of the file that begins at ``offset``; answer with what has
        arrived."""
        wizard = request.env["backup.import.wizard"]._from_upload_token(
            whole_number(number), token
        )
        start = whole_number(offset, LARGEST_OFFSET)
        if not wizard:
            raise NotFound()
        try:
            received = wizard._receive(start, request.httprequest.get_data(cache=False))
        except EngineError as error:
            told = {
                "error": translate(request.env, error.message),
                "hint": translate(request.env, error.hint),
            }
            return request.make_json_response(told)
        return request.make_json_response({"received": received})
