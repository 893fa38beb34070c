"""A stored archive on its way to a browser: in pieces, from any byte on, never in
memory."""

import hashlib
import logging

from werkzeug.exceptions import Conflict, NotFound, RequestedRangeNotSatisfiable
from werkzeug.wsgi import FileWrapper

from odoo import http
from odoo.http import request

from ..engine.errors import EngineError
from ..models.copy.downloading import complete_zip
from ..models.engine_messages import format_error
from .numbers import whole_number

_logger = logging.getLogger(__name__)
PIECE = 256 << 10  # bytes


class Download(http.Controller):
    @http.route(
        "/dfr_backup/download/<string:number>/<string:token>",
        type="http",
        auth="user",
        methods=["GET", "HEAD"],
        readonly=True,
    )
    def download(self, number, token, complete=None):
        """Send one archive, or the part of it that the browser asks for; or one
        ``complete`` zip of a backup whose attachments are in packs."""
        copy = request.env["backup.copy"]._from_download_token(
            whole_number(number), token
        )
        if not copy:
            raise NotFound()
        copy = copy.sudo()
        if complete:
            return _complete(copy)
        size = int(copy.size)
        etag = copy.sha256 or f"{size}-{copy.date:%Y%m%d%H%M%S}"
        start, stop = _range(request.httprequest, etag, size)
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            "X-Content-Type-Options": "nosniff",
            "Content-Length": str(stop - start),
            "Content-Disposition": http.content_disposition(copy.key),
            "Content-Encoding": "identity",
            "ETag": f'"{etag}"',
            "Cache-Control": "private, no-store",
        }
        if stop - start != size:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        status = 206 if "Content-Range" in headers else 200
        body = (
            b""
            if request.httprequest.method == "HEAD"
            else _pieces(copy, start, stop - start, size)
        )
        return request.make_response(body, headers, status=status)


def _complete(copy):
    """Answer with one complete zip, made while it is sent: from its beginning."""
    try:
        whole = complete_zip(copy)
    except EngineError as error:
        _logger.warning("Download of %s: %s", copy.key, error.message)
        raise Conflict(format_error(copy.env, error)) from error
    name = copy.key.removesuffix(".age")
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
        "Content-Length": str(whole.size),
        "Content-Disposition": http.content_disposition(name),
        "Content-Encoding": "identity",
        "Cache-Control": "private, no-store",
    }
    is_head = request.httprequest.method == "HEAD"
    body = iter(()) if is_head else _batched(whole.pieces(), copy.key)
    return request.make_response(body, headers)


def _batched(pieces, key):
    """Yield pieces in larger ones. What ends them early leaves the end out: whoever
    fetches them sees that the download has failed."""
    batch = bytearray()
    try:
        for piece in pieces:
            batch += piece
            if len(batch) >= PIECE:
                yield bytes(batch)
                batch.clear()
    except EngineError as error:
        _logger.warning("Download of %s: %s", key, error.message)
        raise OSError("The backup is not what was stored.") from error
    yield bytes(batch)


def _range(asked, etag, size):
    """Return the first byte to send and the one behind the last. Raise 416 for an
    impossible range; several ranges at once are answered with the whole."""
    wanted = asked.range
    unchanged = (
        not asked.if_range or not asked.if_range.etag or asked.if_range.etag == etag
    )
    if wanted is None or len(wanted.ranges) != 1 or not unchanged:
        return 0, size
    found = wanted.range_for_length(size)
    if found is None:
        raise RequestedRangeNotSatisfiable(size)
    return found


def _pieces(copy, start, length, size):
    """Return what yields the bytes; opening fails before anything is sent. All of an
    archive that is not what the catalogue knows is not sent: its end is left out."""
    sha256 = copy.sha256 if length == size else ""
    try:
        source = copy._get_checked_storage().open(copy.key, start)
        stream = source.__enter__()
    except EngineError as error:
        _logger.warning("Download of %s: %s", copy.key, error.message)
        raise Conflict(format_error(copy.env, error)) from error
    return FileWrapper(_Part(source, stream, length, sha256), PIECE)


class _Part:
    """So many bytes of an open object, as a file that closes its storage. When their
    ``sha256`` is known and is another one, the last of them are kept back: whoever
    fetches them sees that the download has failed."""

    def __init__(self, source, stream, length, sha256=""):
        self._source = source
        self._stream = stream
        self._left = length
        self._sha256 = sha256
        self._digest = hashlib.sha256()

    def read(self, size):  # pylint: disable=method-required-super
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        if self._sha256:
            self._digest.update(data)
            if not self._left and self._digest.hexdigest() != self._sha256:
                self._sha256 = ""
                raise OSError("The archive is not the one that was stored.")
        return data

    def close(self):
        self._source.__exit__(None, None, None)
