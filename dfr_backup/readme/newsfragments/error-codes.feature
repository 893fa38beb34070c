Every error has a code, the same in every language: in runs, mails, webhooks and on the command line. The documentation lists what to do about each.
