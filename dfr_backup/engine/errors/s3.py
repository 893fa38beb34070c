"""S3."""

from ..messages import _
from . import PermanentError, RetryableError
from .storage import NotPermitted


class LockWithoutDays(PermanentError, code="S3-01"):
    template = _("Enter how many days the object lock lasts.")
    remedy = _("Enter at least one day, or switch the object lock off.")


class NothingParallel(PermanentError, code="S3-02"):
    template = _("At least one part must be uploaded at a time.")
    remedy = _("Enter a number from 1 to 16; 4 is usual.")


class DamagedOnTheWay(RetryableError, code="S3-03"):
    template = _("Data was damaged on its way from the bucket %(bucket)s.")
    remedy = _("It is tried again. Check the network if it happens often.")


class HalfOfTheKeys(PermanentError, code="S3-04"):
    template = _(
        "The access key and the secret key belong together, and one of them is missing."
    )
    remedy = _(
        "Enter both, or leave both empty to use the server's own AWS credentials. "
        "When the endpoint has changed, the secret key was forgotten: enter it again."
    )


class AccessDenied(NotPermitted, code="S3-05"):
    template = _("The access key is not allowed to %(action)s the bucket %(bucket)s.")
    remedy = _(
        "Give it the right %(right)s for this bucket and prefix, or use another key."
    )


class BucketUnusable(PermanentError, code="S3-06"):
    template = _("The bucket %(bucket)s cannot be used: %(reason)s")
    remedy = _("Check the settings of the storage.")


class WrongRegion(PermanentError, code="S3-07"):
    template = _("The bucket %(bucket)s is %(where)s, not in %(used)s.")
    remedy = _("Set the region of the bucket.")
    remedy_known = _("Set the region to %(region)s.")


class CertificateNotTrusted(PermanentError, code="S3-08"):
    template = _("The certificate of %(host)s is not trusted: %(reason)s.")
    remedy = _(
        "Give the file with the certificate of its authority (CA bundle), or renew it."
    )
    remedy_name = _("Enter an address with a name that the certificate is for.")


class S3ConnectionLost(RetryableError, code="S3-09"):
    template = _("The connection to the bucket %(bucket)s broke.")
    remedy = _("Check the network and the storage's server. It is tried again.")


class SourceUnreadable(PermanentError, code="S3-10"):
    template = _("The file that is uploaded cannot be read: %(reason)s.")
    remedy = _("Check the disk of this server.")


class SourceShrunk(PermanentError, code="S3-11"):
    template = _("The file that is uploaded has become shorter meanwhile.")
    remedy = _("Something else writes to the working directory. Run a new backup.")


class NoCaBundle(PermanentError, code="S3-12"):
    template = _("The file with the trusted certificates is not there: %(path)s")
    remedy = _("Correct the path of the CA bundle, or leave it blank.")


class S3HostNotFound(RetryableError, code="S3-13"):
    template = _("The name of %(host)s cannot be resolved.")
    remedy = _("Check the address of the storage, and this server's DNS.")


class ObjectProtected(PermanentError, code="S3-14"):
    template = _("The object is protected in the bucket %(bucket)s: %(reason)s")
    remedy = _("An object lock keeps it until its time is over.")


class Boto3Missing(PermanentError, code="S3-15"):
    template = _("The Python package boto3 is missing, which S3 storages need.")
    remedy = _("Install it into Odoo's Python: pip install boto3")


class NoRanges(PermanentError, code="S3-16"):
    template = _("The server does not send parts of an object.")
    remedy = _(
        "It is not a complete S3 server. Ask its administrator, or use another one."
    )


class UploadForgotten(PermanentError, code="S3-17"):
    template = _("The server forgets uploads before they are complete.")
    remedy = _("Check its storage class, its lifecycle rules and its logs.")


class EndlessList(PermanentError, code="S3-18"):
    template = _("The server lists the bucket %(bucket)s without an end.")
    remedy = _(
        "It is not a complete S3 server. Ask its administrator, or use another one."
    )


class ServerBusy(RetryableError, code="S3-19"):
    template = _("The server of the bucket %(bucket)s cannot do it now: %(reason)s")
    remedy = _(
        "It is busy or failing. The upload is retried and continues where it was."
    )
    remedy_page = _(
        "It answers with a web page: is that the address of its S3 interface?"
    )


class S3Silent(RetryableError, code="S3-20"):
    template = _("The server of the bucket %(bucket)s does not answer any more.")
    remedy = _("Check the network and the storage's server. It is tried again.")


class RequestRefused(PermanentError, code="S3-21"):
    template = _(
        "The server refused %(operation)s in the bucket %(bucket)s: %(reason)s"
    )
    remedy = _("Check the settings of the storage against what the provider supports.")


class AnswerCutOff(RetryableError, code="S3-22"):
    template = _("The server sent only a part of %(name)s.")
    remedy = _("Check the network and the storage's server. It is tried again.")


class RoleExpired(RetryableError, code="S3-23"):
    template = _("The server's own AWS credentials have expired.")
    remedy = _(
        "The next attempt fetches new credentials. Check the role if this happens "
        "again."
    )


class TokenExpired(PermanentError, code="S3-24"):
    template = _("The session token of the access key has expired.")
    remedy = _("Enter new keys. For backups, use keys that do not expire, or a role.")


class NoCredentials(PermanentError, code="S3-25"):
    template = _("There are no credentials for the bucket %(bucket)s.")
    remedy = _("Enter an access key and a secret key, or give this server an AWS role.")


class NotS3(PermanentError, code="S3-26"):
    template = _("What answers at %(host)s is not an S3 server.")
    remedy = _(
        "Check the address: it is that of the S3 interface, not of a web console."
    )


class ReadsBackDifferent(PermanentError, code="S3-27"):
    template = _(
        "What was written to the bucket %(bucket)s is different when it is read back."
    )
    remedy = _(
        "The server, or something in between, changes data. Test the storage "
        "again, and do not use it for backups if this persists."
    )


class NotListed(PermanentError, code="S3-28"):
    template = _("What was written to the bucket %(bucket)s is not in its list.")
    remedy = _(
        "The server lists new objects late, or not at all: backups could not be found "
        "there again."
    )


class BadPrefix(PermanentError, code="S3-29"):
    template = _("“%(prefix)s” cannot be a prefix.")
    remedy = _(
        "Give folder names with “/” between them and none in front, without "
        "“.”, “..” and empty names: backups/odoo"
    )


class BadEndpoint(PermanentError, code="S3-30"):
    template = _("“%(endpoint)s” cannot be the address of an S3 server.")
    remedy = _(
        "Start it with https:// or http://, as in https://s3.example.com, without "
        "the bucket, a path or a password."
    )


class BadBucketName(PermanentError, code="S3-31"):
    template = _("“%(bucket)s” cannot be the name of a bucket.")
    remedy = _(
        "Enter the bare name of the bucket, without s3:// and without a folder; enter "
        "a folder as the prefix."
    )


class BadChoice(PermanentError, code="S3-32"):
    template = _("“%(value)s” is not a possible value of %(setting)s.")
    remedy = _("Choose one of: %(choices)s.")


class S3NotReached(RetryableError, code="S3-33"):
    template = _("%(host)s cannot be reached.")
    remedy = _("Check the network, the firewall and the address of the storage.")


class NoTls(PermanentError, code="S3-34"):
    template = _("%(host)s does not speak TLS.")
    remedy = _(
        "Is it the right port? For a server without TLS write http:// in its address."
    )


class NotInBucket(PermanentError, code="S3-35"):
    template = _("%(key)s is not in the bucket %(bucket)s.")
    remedy = _("It was moved or deleted. Scan the storage to see what is there.")


class LegalHold(PermanentError, code="S3-36"):
    template = _("%(name)s is protected by a legal hold.")
    remedy = _("Whoever set the legal hold in the bucket can end it.")


class Locked(PermanentError, code="S3-37"):
    template = _("%(name)s is protected until %(until)s UTC.")
    remedy = _("An object lock of the bucket keeps it. It can be deleted after that.")


class ConnectionRefused(RetryableError, code="S3-38"):
    template = _("%(host)s refused the connection.")
    remedy = _("Is the storage's server running, and is the port right?")


class BucketFull(PermanentError, code="S3-39"):
    template = _("The bucket %(bucket)s is full, or its quota is used up.")
    remedy = _("Free some space or raise the quota. Nothing was deleted.")


class ClockSkewed(PermanentError, code="S3-40"):
    template = _(
        "The clock of this server and that of the bucket %(bucket)s differ too much."
    )
    remedy = _(
        "Set the clock of this server, for example with systemd-timesyncd or chrony."
    )


class ArchiveClass(PermanentError, code="S3-41"):
    template = _(
        "The object is in an archive class of the bucket %(bucket)s and cannot be read."
    )
    remedy = _("Restore it at the provider first, or choose another storage class.")


class ObjectMissing(PermanentError, code="S3-42"):
    template = _("The object is not in the bucket %(bucket)s.")
    remedy = _("It was moved or deleted. Scan the storage to see what is there.")


class ObjectChanged(PermanentError, code="S3-43"):
    template = _("The object was changed in the bucket %(bucket)s while it was read.")
    remedy = _("Somebody else is writing to the same object. Read it again.")


class AccountSuspended(PermanentError, code="S3-44"):
    template = _("The provider has suspended the account of the bucket %(bucket)s.")
    remedy = _("Ask the provider, and check whether a bill is open.")


class WrongSecretKey(PermanentError, code="S3-45"):
    template = _("The secret key is wrong for the bucket %(bucket)s.")
    remedy = _(
        "Enter the secret key again, without spaces around it; check the region, too."
    )


class BucketNameRefused(PermanentError, code="S3-46"):
    template = _("The server does not accept the name of the bucket %(bucket)s.")
    remedy = _("Check it: 3 to 63 lowercase letters, digits, dots and hyphens.")


class UnknownAccessKey(PermanentError, code="S3-47"):
    template = _("The server of the bucket %(bucket)s does not know this access key.")
    remedy = _(
        "Check the access key, and that it belongs to this provider and has not "
        "been revoked."
    )


class NoBucket(PermanentError, code="S3-48"):
    template = _("There is no bucket %(bucket)s.")
    remedy = _("Check its name and the address, or create it at the provider.")


class EncryptionKeyUnusable(PermanentError, code="S3-49"):
    template = _("The encryption key of the bucket %(bucket)s cannot be used.")
    remedy = _("Check the KMS key: does it exist in this region, and is it enabled?")
