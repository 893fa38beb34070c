“odoo backup restore” brings a backup back where no database works: checked first, loaded by all cores, stopped at the first
SQL error, compared with what was saved. The back office does the same into a new database. A restored copy is safe until
somebody takes its storages over.
