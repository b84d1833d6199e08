# Each target sets up what it needs; only Python >= 3.11, make and the package registry have to be there.

.DEFAULT_GOAL := help
.PHONY: help demo test drills long costs oldest lint fmt bench fuzz audit pictures messages shell clean lock chart sbom

# An environment that forbids Python to keep what it compiled would compile Django for every process of every test.
export PYTHONDONTWRITEBYTECODE :=

BIN := .venv/bin
# Tests and checks run against an embedded PostgreSQL of their own; see tests/postgres.py.
TEST := $(BIN)/python -m tests.postgres --

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F '\t' '{printf "  %-8s %s\n", $$1, $$2}'

demo: ## The whole product on 127.0.0.1 (PORT=8000, DATA_DIR=.data, DEMO_JSON=1)
	@deploy/bootstrap run
	@exec $(BIN)/python -m exchange.demo

# One process more than processors: each takes ten seconds to find all tests, and these hardly wait.
test: lint ## All checks, and all tests that are quick (PYTEST_ARGS="tests/partners -k audience")
	@$(TEST) $(BIN)/python -m pytest -n 3 -m "not drill and not slow and not long" $(PYTEST_ARGS)

drills: ## Slow tests, and rehearsals on sets of real processes: overload, races, brokers (PYTEST_ARGS=…)
	@deploy/bootstrap dev
	@$(TEST) $(BIN)/python -m pytest -m "(drill or slow) and not long" $(PYTEST_ARGS)

long: ## Before a release: what takes longest, kills, restores and upgrades among it, and more of what is drawn at random (PYTEST_ARGS=…)
	@deploy/bootstrap dev
	@$(TEST) $(BIN)/python -m pytest -n 3 -m "long or hypothesis" --hypothesis-profile=house $(PYTEST_ARGS)

costs: ## Measure what each test costs, which says who runs it when (tests/costs.txt)
	@deploy/bootstrap dev
	@$(TEST) $(BIN)/python -m pytest -p tests.costing -m "not drill" $(PYTEST_ARGS)

oldest: ## The same code on the oldest Python that we promise, where it is on this machine: compiled, imported, tried
	@deploy/bootstrap dev
	@sh deploy/oldest

lint: ## Style, types, import contracts, migrations, deployment checks
	@deploy/bootstrap dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@EXCHANGE_MODE=test SECRET_KEY=unused DATABASE_URL=postgresql:///unused $(BIN)/mypy & types=$$!; \
	$(BIN)/lint-imports --no-logo --no-cache && $(TEST) sh -ec '\
		$(BIN)/python manage.py makemigrations --check --dry-run; \
		$(BIN)/python -m tests.production_check; \
		DJANGO_SETTINGS_MODULE=exchange.settings $(BIN)/python -m tests.templates'; others=$$?; \
	wait $$types && exit $$others

fmt: ## Format the code
	@deploy/bootstrap dev
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

bench: ## Measure against the floor: parsing, COPY, publishing, polling, telling
	@deploy/bootstrap dev
	@$(BIN)/python -m bench $(BENCH_ARGS)

fuzz: ## Look for inputs that break a promise of what reads strangers' bytes (FUZZ="pattern batch", FUZZ_SECONDS=300)
	@deploy/bootstrap dev
	@sh deploy/fuzz $(or $(FUZZ_SECONDS),300) $(FUZZ)

audit: ## Known vulnerabilities of what is locked, by osv.dev, or by a snapshot (ADVISORIES=a checkout of pypa/advisory-database, or osv.dev's PyPI/all.zip; KEEP=1: into deploy/advisories.json)
	@deploy/bootstrap run
	@sh deploy/audit $(ADVISORIES) $(if $(ADVISORIES),$(KEEP))

messages: ## Gather all text for people into catalogues (MESSAGES_LOCALE=de; needs gettext's xgettext and msgfmt)
	@deploy/bootstrap dev
	@for domain in django djangojs; do SECRET_KEY=$$(printf "%064d" 0) DATABASE_URL=postgresql://nobody@localhost/none EXCHANGE_MODE=test $(BIN)/python manage.py makemessages --domain $$domain --locale $(or $(MESSAGES_LOCALE),en) --no-wrap --ignore '.venv*' --ignore 'tests*' --ignore 'bench*' --ignore '*/vendor/*' --ignore '*/bundled/*' --ignore 'build*'; done

pictures: ## Pictures of the portal's pages, of a demo that runs (PICTURES_ARGS="--out pictures"; "--docs": the documentation's)
	@deploy/bootstrap dev
	@$(BIN)/python -m bench.pictures $(PICTURES_ARGS)

shell: ## A Django shell on the demo's database, while the demo runs
	@deploy/bootstrap run
	@$(BIN)/python -m exchange.demo.shell

chart: ## The chart of deploy/helm, rendered, linted and validated
	@deploy/bootstrap dev
	@$(BIN)/python deploy/helm/checking

sbom: ## What the server is made of, as CycloneDX (build/sbom.cdx.json)
	@deploy/bootstrap run
	@mkdir -p build
	@$(BIN)/python deploy/sbom.py deploy/requirements.lock > build/sbom.cdx.json

lock: ## Lock the dependencies again, with hashes
	@deploy/bootstrap dev
	@sh deploy/lock

clean: ## Remove what was set up and the demo's data
	@rm -rf .venv .tools .data .mypy_cache .ruff_cache .pytest_cache .hypothesis
