A secret key can be replaced: ``dfr_backup_former_keys`` names the former ones, by which secrets and signatures are still read.
