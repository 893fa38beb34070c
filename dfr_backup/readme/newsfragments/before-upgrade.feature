An upgrade or uninstallation from the Apps page can wait for a backup (a setting).
