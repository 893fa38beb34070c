What holds no data and PostgreSQL refuses can be left out of a restore by name: --accept extension, publication or event_trigger.
