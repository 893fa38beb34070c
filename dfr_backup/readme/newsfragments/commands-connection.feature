Every command takes the connection options of odoo db: --db_host, --db_port, -r, -w, --db_sslmode, -D and --pg_path.
