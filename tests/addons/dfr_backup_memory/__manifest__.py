{
    "name": "Backup in Memory",
    "summary": "For tests: a kind of storage and a kind of run from another addon",
    "version": "19.0.1.0.0",
    "category": "Hidden",
    "author": "dfr_backup contributors",
    "license": "LGPL-3",
    "depends": ["dfr_backup"],
    "data": ["views/backup_storage_views.xml", "views/backup_job_views.xml"],
}
