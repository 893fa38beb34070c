.PHONY: help setup env demo serve test coverage matrix faults lint lock bench docs screenshots i18n clean
.DEFAULT_GOAL := help
DEV := setup/dev

help: ## List these commands
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Install what is missing: Odoo 19, PostgreSQL, a virtual environment (all in .dev)
	@$(DEV)/setup.sh

env: ## Print shell exports: eval "$$(make -s env)" makes odoo, psql and python work here
	@$(DEV)/setup.sh >&2 && $(DEV)/env.sh

demo: ## Back up a database with real content, restore it with Odoo itself, and compare
	@$(DEV)/setup.sh && $(DEV)/demo.sh

serve: ## Serve the demo database on loopback (after make demo)
	@$(DEV)/setup.sh && $(DEV)/serve.sh

test: ## Run every test, the fast ones first
	@$(DEV)/setup.sh && $(DEV)/test.sh $(RINGS)

coverage: ## Measure engine and storages; lines changed since BASE (the last release) reach 95 %
	@$(DEV)/setup.sh && $(DEV)/test.sh engine storages coverage && $(DEV)/coverage.sh diff $(BASE)

matrix: ## Test whole backups with PostgreSQL 13 to 18 (SERVERS="17"), and beside OCA's addons
	@$(DEV)/setup.sh && $(DEV)/servers.sh whole $(SERVERS) && $(DEV)/oca.sh

faults: ## Disturb real runs at every step, and print fault × step → outcome (ROUNDS=30 SEED=7)
	@$(DEV)/setup.sh && $(DEV)/faults.sh $(or $(ROUNDS),30) $(SEED)

lint: ## Check style, types, arrows, spelling: ruff, mypy, pylint-odoo, eslint, prettier and more
	@$(DEV)/setup.sh && $(DEV)/lint.sh

lock: ## Renew the locked versions of Python's and npm's packages
	@$(DEV)/setup.sh && $(DEV)/lock.sh

bench: ## Measure side by side with Odoo, OCA auto_backup, rclone, restic (WHAT=restore SIZE=1024)
	@$(DEV)/setup.sh && $(DEV)/bench.sh $(WHAT) $(if $(SIZE),--size $(SIZE)) $(BENCH)

docs: ## Write the pages that are made from the source, then the site in .dev/site (LINKS=1)
	@$(DEV)/errors_page.py && $(DEV)/rights_page.py && $(DEV)/addon_readme.py && $(DEV)/site.sh

screenshots: ## Take every picture of the documentation from a copy of the demo (ONLY="run drill")
	@$(DEV)/setup.sh && $(DEV)/screenshots.sh $(ONLY)

i18n: ## Export the terms to translate, merge them into the .po files, say what is to do
	@$(DEV)/setup.sh && $(DEV)/i18n.sh

clean: ## Stop the private PostgreSQL and delete .dev
	@$(DEV)/clean.sh
