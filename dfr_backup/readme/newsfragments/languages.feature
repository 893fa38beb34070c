German, French, Spanish and Dutch: pages, mails, and also what the engine says in errors, hints and logs, in each reader's own language.
