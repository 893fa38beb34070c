"""Incremental backups, whose attachments are in packs."""

from ..messages import _
from . import Mismatch, PermanentError, RetryableError


class PackMissing(Mismatch, code="PACK-01"):
    template = _(
        "%(backup)s needs %(pack)s, which is missing in %(location)s or has another "
        "size."
    )
    remedy = _(
        "Use a copy of the backup in another storage. The next backup stores again "
        "what the server still has."
    )


class PackGone(RetryableError, code="PACK-02"):
    """While a backup that names it was being stored."""

    template = _(
        "%(pack)s was removed from %(location)s, or is going to be, while a backup "
        "that needs it was being stored."
    )
    remedy = _("No action needed: the next attempt stores its files again.")


class PackMalformed(PermanentError, code="PACK-03"):
    template = _("%(key)s does not describe a pack: %(reason)s.")
    remedy = _("It was damaged or changed. Its files are stored again.")


class CopyNotListed(PermanentError, code="PACK-04"):
    template = _(
        "%(count)s backups that were never deleted are not listed in %(location)s, or "
        "are other files than was noted, for example %(key)s."
    )
    remedy = _(
        "Nothing was deleted. Check the storage, then scan it: the list may have been "
        "incomplete, or somebody else deletes there. If they are gone for good: “Give "
        "Up Lost Backups” at the storage, or “odoo backup prune -d DATABASE "
        "--give-up-lost”. What is still there is deleted in Copies."
    )


class BackupUnreadable(PermanentError, code="PACK-05"):
    template = _(
        "%(key)s in %(location)s cannot be read, so nobody knows which packs it needs: "
        "%(problem)s"
    )
    remedy = _(
        "Nothing was deleted. If the file is not a backup, or is a lost one, move it "
        "out of the storage."
    )


class ExportFirst(PermanentError, code="PACK-06"):
    template = _(
        "This is the archive of an incremental backup: most of its attachments are in "
        "packs beside it."
    )
    remedy = _(
        "Make a complete zip of it first, with “odoo backup export BACKUP --to "
        "FULL.zip” where its packs are."
    )


class PackNameTaken(RetryableError, code="PACK-07"):
    template = _("%(location)s already has a file that is called %(pack)s.")
    remedy = _("No action needed: the next attempt uses another name.")


class StorageChanged(RetryableError, code="PACK-08"):
    template = _(
        "Backups in %(location)s changed while the packs that they need were being "
        "counted."
    )
    remedy = _("No action needed: nothing was deleted, and the next check decides.")


class AttachmentsDiffer(Mismatch, code="PACK-09"):
    template = _("The packs do not hold the attachments that %(backup)s names.")
    remedy = _("Use a copy of the backup in another storage.")


class AttachmentsLost(Mismatch, code="PACK-20"):
    finding, acceptable = "attachments_lost", True
    template = _(
        "%(count)s attachment files of %(backup)s are lost: they are missing or "
        "damaged in its packs in %(location)s, and no other pack has them."
    )
    remedy = _(
        "Use a copy of the backup in another storage, or another backup. Restored "
        "without them, these attachments cannot be opened."
    )


class PacksUnknown(PermanentError, code="PACK-21"):
    template = _(
        "%(sidecar)s, which says which packs %(backup)s needs, cannot be used: "
        "%(problem)s"
    )
    remedy = _("Bring that file back, or use a copy of the backup in another storage.")


class TargetExists(PermanentError, code="PACK-22"):
    template = _("%(path)s exists already.")
    remedy = _("Choose another name, or remove the file: nothing is written over it.")


class TooManyPacks(PermanentError, code="PACK-23"):
    template = _(
        "The backup needs parts of %(packs)s packs: the list of these parts would be "
        "too large to be read again."
    )
    remedy = _(
        "Make one complete backup, prune when the incremental ones are deleted, "
        "then make the plan incremental again: it starts with newly filled packs."
    )


class NotIncremental(PermanentError, code="PACK-10"):
    template = _("%(key)s does not say which packs it needs.")
    remedy = _("Read its manifest from the storage again.")


class NothingToShare(PermanentError, code="PACK-11"):
    """Why complete zips are stored: this one, and the next three."""

    template = _("The plan saves no attachments, so backups have nothing to share.")
    remedy = _("Include the attachments, or leave the plan on complete backups.")


class KeepsEverything(PermanentError, code="PACK-12"):
    template = _(
        "Nothing may be deleted in %(storage)s: parts that no backup needs any "
        "more would stay there forever."
    )
    remedy = _(
        "Allow deleting and test the storage again, or use another storage for "
        "incremental backups."
    )


class LockNotExtended(PermanentError, code="PACK-13"):
    template = _(
        "%(storage)s did not extend the Object Lock of a part that newer backups need: "
        "it could be deleted while they are still locked."
    )
    remedy = _(
        "Allow its keys s3:PutObjectRetention and s3:GetObjectRetention and test "
        "the storage again, or leave the plan on complete backups."
    )


class SharedByDatabases(PermanentError, code="PACK-14"):
    template = _("Several databases keep their backups in the location of %(storage)s.")
    remedy = _("Give this database a storage with a location of its own.")


class AttachmentsGone(PermanentError, code="PACK-15"):
    """A backup whose attachments one storage has, and another one gets too late."""

    template = _(
        "%(count)s attachment files of this backup are no longer in the filestore, and "
        "%(location)s does not have them."
    )
    remedy = _(
        "Run the plan again: the next backup is stored there as well. This one is "
        "complete in the storages that have it."
    )


class KeysChanged(PermanentError, code="PACK-16"):
    template = _(
        "The plan's keys have changed since the archive of this backup was encrypted."
    )
    remedy = _("Run the plan again: the next backup has one set of keys.")


class SignatureWrong(PermanentError, code="PACK-30"):
    template = _("The description of the pack was changed after it was signed.")
    remedy = _("Do not trust the pack: somebody can write into the storage.")


class TakesAway(PermanentError, code="PACK-17"):
    """Why complete zips are stored, as PACK-11 to PACK-14."""

    template = _(
        "A rule of the bucket of %(storage)s deletes old objects, or moves them to an "
        "archive: it would take parts that newer backups need."
    )
    remedy = _(
        "Remove the lifecycle rule and test the storage again: the plan's own rules "
        "delete what is too old."
    )


class MayNotList(PermanentError, code="PACK-18"):
    """Likewise."""

    template = _(
        "The credentials do not allow listing %(storage)s, so it cannot be known "
        "which parts are stored there already, or whether one is lost."
    )
    remedy = _(
        "Allow listing (s3:ListBucket) and test the storage again, or use another "
        "storage for incremental backups."
    )


class RulesUnknown(PermanentError, code="PACK-19"):
    """Likewise."""

    template = _(
        "It is not known whether a lifecycle rule of the bucket of %(storage)s deletes "
        "or moves objects: it would take parts that newer backups need."
    )
    remedy = _(
        "Give its keys the right s3:GetLifecycleConfiguration and test the "
        "storage again. Where that is not possible, check the rules of the "
        "bucket, and confirm in the form of the storage that none of them deletes "
        "or moves objects."
    )


class LocksByDefault(PermanentError, code="PACK-24"):
    """Likewise."""

    template = _(
        "The bucket of %(storage)s has a default retention, which locks every object: "
        "parts that no backup needs any more could not be deleted."
    )
    remedy = _(
        "Remove the default retention of the bucket, choose “Object Lock” in the form "
        "of the storage instead, and test it again: each backup is locked then, "
        "together with the parts that it needs."
    )


class PackDamaged(PermanentError, code="PACK-31"):
    """Found by the part of the packs that each night is read in full."""

    template = _("%(pack)s in %(location)s is damaged: %(problem)s")
    remedy = _(
        "Use copies in another storage: those here that need it are marked as damaged. "
        "No action needed for new backups: they store again what the server still has."
    )


class NotNoted(PermanentError, code="PACK-32"):
    template = _("What was read tonight cannot be noted in %(file)s: %(reason)s.")
    remedy = _("Give Odoo's user the right to write there, and free some space.")


class PackUnread(PermanentError, code="PACK-33"):
    """Also in an earlier night, so that waiting does not help."""

    template = _(
        "%(pack)s in %(location)s could not be read on %(nights)s nights: %(problem)s"
    )
    remedy = _(
        "Check the disk or the service behind the storage. Until the pack can be read, "
        "use copies in another storage. If it is lost, move it out of the storage, "
        "then scan that: the backups that need it are marked as damaged, and the next "
        "backup stores again what the server still has."
    )
