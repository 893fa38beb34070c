"""Keys, passphrases, and files of age."""

from ..messages import _
from . import PermanentError

DAMAGED = _("The file is damaged: use another copy of this backup.")


class TooMuchMemory(PermanentError, code="KEY-01"):
    template = _(
        "Decrypting this file would take far too much memory (its scrypt work factor "
        "is above %(limit)s)."
    )
    remedy = _(
        "Decrypt it with age on another machine, if you trust where it comes from."
    )


class OtherKeys(PermanentError, code="KEY-02"):
    template = _(
        "The archive cannot be decrypted: it was encrypted for other keys than this "
        "one."
    )
    remedy = _(
        "The recovery kit says which backups need which key. The private key belongs "
        "to one of the public keys that the plan had when this backup was made."
    )


class WrongPassphrase(PermanentError, code="KEY-03"):
    template = _(
        "The archive cannot be decrypted: the passphrase is wrong, or it is missing."
    )
    remedy = _(
        "Enter the passphrase with which this backup was encrypted. It may have been "
        "changed since then."
    )


class HeaderDamaged(PermanentError, code="KEY-04"):
    template = _("The beginning of the encrypted file is damaged.")
    remedy = DAMAGED


class PayloadDamaged(PermanentError, code="KEY-05"):
    template = _("The encrypted file is damaged, or it was cut off.")
    remedy = DAMAGED


class ArmourBroken(PermanentError, code="KEY-06"):
    template = _("The encrypted file is damaged: its text armour is broken.")
    remedy = DAMAGED


class CutOff(PermanentError, code="KEY-07"):
    template = _("The encrypted file was cut off: its end is missing.")
    remedy = DAMAGED


class EmptyPassphrase(PermanentError, code="KEY-08"):
    template = _("The passphrase is empty.")
    remedy = _("Enter a passphrase, or use a key.")


class NoPassphrase(PermanentError, code="KEY-09"):
    template = _("The plan encrypts by a passphrase, and has none.")
    remedy = _("Set the passphrase in the plan, or choose another encryption.")


class NoKey(PermanentError, code="KEY-10"):
    template = _("There is no key.")
    remedy = _("Enter at least one key, or a passphrase, in the plan.")


class NoPrivateKey(PermanentError, code="KEY-11"):
    template = _("There is no private key.")
    remedy = _("Paste the line that begins with AGE-SECRET-KEY-1.")


class NoPublicKey(PermanentError, code="KEY-12"):
    template = _("There is no public key to encrypt for.")
    remedy = _("Enter one per line: age1…, ssh-ed25519 … or ssh-rsa …")


class NotEncrypted(PermanentError, code="KEY-13"):
    template = _("This file is not encrypted with age, or its beginning is damaged.")
    remedy = _("Choose a file that ends in .age, or another copy of it.")


class NotAPrivateKey(PermanentError, code="KEY-14"):
    template = _("This is not an age private key, or a part of it is missing.")
    remedy = _("It is one line of 74 characters that begins with AGE-SECRET-KEY-1.")


class SshKeyUnreadable(PermanentError, code="KEY-15"):
    template = _(
        "This SSH private key cannot be read, or it has a passphrase of its own."
    )
    remedy = _(
        "Remove the passphrase from a copy of it: ssh-keygen -p -f copy-of-the-key"
    )


class NotWritten(PermanentError, code="KEY-16"):
    template = _(
        "%(file)s could not be written in %(directory)s, or its source not read: "
        "%(reason)s."
    )
    remedy = _("Check the free space, the rights and the disk of that directory.")


class PrivateKeyGiven(PermanentError, code="KEY-17"):
    template = _("%(line)s is a private key, and only public keys belong here.")
    remedy = _(
        "Enter the public key, which begins with age1 or ssh-. Whoever can read this "
        "page may have seen the private one: consider making a new pair."
    )


class SshKeyUnusable(PermanentError, code="KEY-18"):
    template = _("%(line)s is an SSH key that cannot encrypt: its kind is %(kind)s.")
    remedy = _("Use ssh-ed25519, ssh-rsa with %(bits)s bits or more, or an age key.")


class SshKeyIncomplete(PermanentError, code="KEY-19"):
    template = _("%(line)s is not a complete SSH public key.")
    remedy = _("Paste the whole line of the file that ends in .pub.")


class NotAPublicKey(PermanentError, code="KEY-20"):
    template = _("%(line)s is not a public key (%(problem)s).")
    remedy = _("An age public key is one word of 62 characters that begins with age1.")


class KeyKindUnknown(PermanentError, code="KEY-21"):
    template = _(
        "%(line)s is a key that cannot be used here: it is for post-quantum "
        "encryption, or of an age plugin."
    )
    remedy = _("Use a key that age-keygen makes without options, or an SSH key.")
