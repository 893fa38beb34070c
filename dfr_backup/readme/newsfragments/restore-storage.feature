The forms of a restore and of a staging copy let you choose which storage the backup is read from, when several have a copy of it.
