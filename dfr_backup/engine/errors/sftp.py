"""SFTP."""

from ..messages import _
from . import PermanentError, RetryableError
from .storage import NoRoom, NotPermitted

WHOLE_FILE = _("Paste the whole file, from the BEGIN line to the END line.")
TRIED_AGAIN = _(
    "It is tried again. If it happens often, look at the network and at the server."
)


class KeyKindUnusable(PermanentError, code="SFTP-01"):
    template = _("Private keys of this kind (%(kind)s) cannot be used.")
    remedy = _(
        "Use a key of kind ed25519, ecdsa or rsa, for example: ssh-keygen -t ed25519"
    )


class SftpConnectionLost(RetryableError, code="SFTP-02"):
    template = _("The connection to %(host)s was lost.")
    remedy = TRIED_AGAIN


class HostKeyUnknown(PermanentError, code="SFTP-03"):
    template = _(
        "The host key of %(host)s is not known yet: it shows %(fingerprint)s "
        "(%(kind)s), and none is pinned."
    )
    remedy = _(
        "Compare the fingerprint with the one that the server's administrator gives "
        "you, then pin the key."
    )


class SftpHostNotFound(PermanentError, code="SFTP-04"):
    template = _("The name %(host)s cannot be resolved.")
    remedy = _("Check the host name, and the name server of this machine.")


class WrongKeyPassphrase(PermanentError, code="SFTP-05"):
    template = _("The passphrase does not open the private key.")
    remedy = _("Enter the passphrase that the key was made with.")


class KeyUnreadable(PermanentError, code="SFTP-06"):
    template = _(
        "The private key cannot be read: it is damaged, or of a kind that is not "
        "supported."
    )
    remedy = _(
        "Paste the whole file, from the BEGIN line to the END line. A new key is made "
        "by: ssh-keygen -t ed25519"
    )


class PuttyKey(PermanentError, code="SFTP-07"):
    template = _("The private key is in PuTTY's format.")
    remedy = _("Convert it with PuTTYgen: Conversions, Export OpenSSH key.")


class PassphraseMissing(PermanentError, code="SFTP-08"):
    template = _("The private key is protected by a passphrase, and none was given.")
    remedy = _("Enter the passphrase of the key.")


class ParamikoMissing(PermanentError, code="SFTP-09"):
    template = _("The Python package paramiko is missing, and SFTP needs it.")
    remedy = _(
        "The server's administrator can run: pip install paramiko (into Odoo's Python)."
    )


class SentSizeDiffers(RetryableError, code="SFTP-10"):
    template = _("The server holds %(stored)s bytes where %(sent)s were sent.")
    remedy = _("It is tried again. If this happens twice, check the server's disk.")


class PublicKeyGiven(PermanentError, code="SFTP-11"):
    template = _("This is a public key, and the private key is needed.")
    remedy = _(
        "Paste the content of the file without .pub at its end, and add the public key "
        "to the server's authorized_keys."
    )


class NotAnSshKey(PermanentError, code="SFTP-12"):
    template = _("This is not a private key.")
    remedy = WHOLE_FILE


class BadHostKey(PermanentError, code="SFTP-13"):
    template = _("The pinned value is not the host key of an SSH server.")
    remedy = _("Fetch the key from the server, or paste a line “ssh-ed25519 AAAA…”.")


class NotSsh(RetryableError, code="SFTP-14"):
    template = _(
        "%(host)s, port %(port)s, accepts connections, but the SSH handshake fails."
    )
    remedy = _(
        "Check the port. Is there a firewall in between, or does the server refuse "
        "this address? Its log says so."
    )


class ServerSilent(RetryableError, code="SFTP-15"):
    template = _("%(host)s did not answer for %(seconds)s seconds.")
    remedy = TRIED_AGAIN


class LoginKindRefused(PermanentError, code="SFTP-16"):
    template = _("%(host)s does not let %(user)s log in with a %(credential)s.")
    remedy = _("It accepts: %(accepted)s.")
    remedy_unknown = _("The server does not say what it accepts.")


class LoginCutOff(RetryableError, code="SFTP-17"):
    template = _("%(host)s ended the connection during the login of %(user)s.")
    remedy = _(
        "Its log tells why. With a ChrootDirectory, all folders above it must belong "
        "to root."
    )


class SftpNotADirectory(PermanentError, code="SFTP-18"):
    template = _("%(location)s is not a directory.")
    remedy = _("Choose another one, or one that does not exist yet.")


class NoSftp(PermanentError, code="SFTP-19"):
    template = _("%(host)s let %(user)s log in, but offers no SFTP.")
    remedy = _("Its administrator has to enable the sftp subsystem for this user.")


class SftpNotBegun(RetryableError, code="SFTP-20"):
    template = _("%(host)s let %(user)s log in, but no SFTP session began.")
    remedy = _(
        "Does a start-up file of the shell print something for this user? Does the "
        "program of the sftp subsystem exist?"
    )


class CredentialRefused(PermanentError, code="SFTP-21"):
    template = _("%(host)s refused the %(credential)s of %(user)s.")
    remedy = _(
        "Check the user's name, too: a server does not tell which of them is wrong. A "
        "public key must be in the authorized_keys of that user."
    )


class NotSftp(RetryableError, code="SFTP-22"):
    template = _("%(host)s sent something that is not SFTP.")
    remedy = _("It is tried again. If it happens again, look at the server's log.")


class HostKeyChanged(PermanentError, code="SFTP-23"):
    template = _(
        "%(host)s shows another host key than the pinned one: %(fingerprint)s "
        "(%(kind)s) instead of %(pinned)s (%(pinned_kind)s)."
    )
    remedy = _(
        "Nothing was sent. Either the server was reinstalled, or somebody is "
        "intercepting the connection. Ask its administrator before you pin the new key."
    )


class SecondFactor(PermanentError, code="SFTP-24"):
    template = _("%(host)s requires more than a %(credential)s from %(user)s.")
    remedy = _(
        "A program cannot use two-factor authentication: exempt this user from it."
    )


class SftpNotReached(RetryableError, code="SFTP-25"):
    template = _("%(host)s, port %(port)s, cannot be reached: %(reason)s.")
    remedy = _("Check the address, and the network of this machine.")


class ConnectTimedOut(RetryableError, code="SFTP-26"):
    template = _("%(host)s, port %(port)s, did not answer within %(seconds)s seconds.")
    remedy = _("Is the server up, and does a firewall let this machine in?")


class NobodyListens(RetryableError, code="SFTP-27"):
    template = _("%(host)s, port %(port)s, refuses connections.")
    remedy = _("Is the SSH server running, and is the port right?")


class SftpNoRoom(NoRoom, code="SFTP-28"):
    remedy = _(
        "Free some space on the server, or choose a larger disk. Nothing was deleted."
    )


class SftpDirectoryMissing(PermanentError, code="SFTP-29"):
    template = _("The backup directory is missing: %(location)s.")
    remedy = _("Check the path. Is the disk of the server mounted?")


class SftpNoPermission(NotPermitted, code="SFTP-30"):
    template = _("%(user)s has no permission to %(doing)s in %(location)s.")
    remedy = _("Give %(user)s the right to do so on the server.")


class SftpDiskFull(PermanentError, code="SFTP-31"):
    template = _("The disk of the backup directory is full: %(location)s.")
    remedy = SftpNoRoom.remedy


class RequestFailed(PermanentError, code="SFTP-32"):
    template = _("Cannot %(doing)s in %(location)s: the server only says “%(answer)s”.")
    remedy = _(
        "A full disk and a used-up quota look like this. The server's log says more."
    )
