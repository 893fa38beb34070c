#!/usr/bin/env bash
# The terms to translate: out of Odoo's export, into every .po file.
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"

say "The template: Odoo exports what it knows of the addon"
log=$DEV/log/i18n.log
pot=$(mktemp --suffix=.pot)
trap 'dropdb --if-exists --force dfr_i18n; rm -f "$pot"' EXIT
dropdb --if-exists --force dfr_i18n
odoo -d dfr_i18n -i dfr_backup --stop-after-init --no-http --workers 0 >"$log" 2>&1 || fail "see $log"
odoo i18n export -c "$ODOO_RC" -d dfr_i18n -l pot -o "$pot" dfr_backup >>"$log" 2>&1 || fail "see $log"

say "Translations: what is there is kept, what is new is still to do"
python setup/dev/translations.py "$pot"
