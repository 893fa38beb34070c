"""paramiko's SFTP server, as providers run theirs: a login sees its own folder, and
asking for anything above or beside it is refused."""

import contextlib
import os
import secrets
import socket
import threading
from pathlib import PurePosixPath

import paramiko

from dfr_backup.engine.storages.sftp.link import SftpConfig

OWN = PurePosixPath("/users/shop")


class _Login(paramiko.ServerInterface):
    password = ""

    def check_auth_password(self, username, password):
        good = secrets.compare_digest(password, self.password)
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username):
        return "password"

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED


def _answered(method):
    def answered(self, path, *args):
        asked = PurePosixPath(os.path.normpath(path))
        self.asked.append(asked)
        if not asked.is_relative_to(OWN):
            return paramiko.SFTP_PERMISSION_DENIED
        try:
            return method(self, self.root / asked.relative_to(OWN), *args)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    return answered


class _Folder(paramiko.SFTPServerInterface):
    @_answered
    def stat(self, path):
        return paramiko.SFTPAttributes.from_stat(os.stat(path))

    lstat = stat

    @_answered
    def list_folder(self, path):
        return [
            paramiko.SFTPAttributes.from_stat(entry.stat(), entry.name)
            for entry in os.scandir(path)
        ]

    @_answered
    def mkdir(self, path, _attributes):
        path.mkdir()
        return paramiko.SFTP_OK

    @_answered
    def remove(self, path):
        path.unlink()
        return paramiko.SFTP_OK

    @_answered
    def open(self, path, flags, _attributes):
        descriptor = os.open(path, flags, 0o600)
        mode = "rb" if flags & os.O_ACCMODE == os.O_RDONLY else "wb"
        handle = paramiko.SFTPHandle(flags)
        handle.readfile = handle.writefile = os.fdopen(descriptor, mode)
        handle.stat = lambda: paramiko.SFTPAttributes.from_stat(os.fstat(descriptor))
        return handle

    def rename(self, oldpath, newpath):
        names = [PurePosixPath(path).relative_to(OWN) for path in (oldpath, newpath)]
        os.replace(*(self.root / name for name in names))
        return paramiko.SFTP_OK

    posix_rename = rename


@contextlib.contextmanager
def own_folder_server(root):
    """Serve ``root`` as /users/shop; yield the SftpConfig that leads into a folder
    below it, and the list of all paths that are asked for."""
    login = type("Login", (_Login,), {"password": secrets.token_hex(8)})
    folder = type("Folder", (_Folder,), {"root": root, "asked": []})
    key = paramiko.ECDSAKey.generate()
    transports = []

    def serve(listener):
        while True:
            try:
                sock, _address = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(sock)
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, folder)
            transport.start_server(server=login())
            transports.append(transport)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        config = SftpConfig(
            host="127.0.0.1",
            port=listener.getsockname()[1],
            user="shop",
            password=login.password,
            directory=str(OWN / "backups" / "odoo"),
            host_key=f"{key.get_name()} {key.get_base64()}",
        )
        try:
            yield config, folder.asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for transport in transports:
                transport.close()
