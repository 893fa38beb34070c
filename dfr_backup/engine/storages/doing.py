"""What a storage was asked to do, as errors name it: “Cannot … in …”."""

from ..messages import Message, _

MAKE_DIRECTORY = Message(_("make the directory"))
WRITE = Message(_("write"))
LOOK_AT_DIRECTORY = Message(_("inspect the directory"))
LIST_DIRECTORY = Message(_("list the directory"))
LOOK_AT_SPACE = Message(_("read the free space"))


def writing(key: str) -> Message:
    return Message(_("write %(key)s"), key=key)


def reading(key: str) -> Message:
    return Message(_("read %(key)s"), key=key)


def looking_at(key: str) -> Message:
    return Message(_("inspect %(key)s"), key=key)


def deleting(key: str) -> Message:
    return Message(_("delete %(key)s"), key=key)
