# Task file: `make fast` after each change, `make test` before it lands, `make long` before a release.

PYTHON ?= .venv/bin/python
FAST = -n 2 --dist worksteal -m "not slow and not browser" --hypothesis-profile=quick

unexport PYTHONDONTWRITEBYTECODE  # tests start hundreds of processes, and each would compile the program for itself

.PHONY: fast pages servers peers test long check requirements wheel

fast: ## Tests that need no browser, no server, no whole page and no process of their own
	$(PYTHON) -m pytest $(FAST)

pages: ## Every page drawn in every state, without a browser
	$(PYTHON) -m pytest -n 2 --dist worksteal tests/pages --hypothesis-profile=quick

peers: ## The tools that exports are for, each in an environment of its own, for the tests that open files with them
	for peer in freqtrade nautilus backtesters; do \
	  python3 -m venv .peers/$$peer && .peers/$$peer/bin/pip install -q --no-compile -r tests/exports/peers/$$peer.txt || exit 1; done

servers: ## Tests of what has a state or a lake, with both on real servers: PostgreSQL and an object store
	$(PYTHON) -m pytest -n 2 --dist worksteal --state=postgresql --store --hypothesis-profile=quick tests/storage tests/ingestion tests/operations tests/rules tests/adjustments tests/checks tests/files tests/exports tests/reading tests/insight tests/integration tests/cli tests/pages

test: check ## Everything that has to pass before a change lands
	$(PYTHON) -m pytest -n 2 --dist loadfile

long: test ## Wide random search, proofs with kills and turned clocks, benchmarks
	$(PYTHON) -m pytest -n 2 --dist loadfile -m "not browser" --hypothesis-profile=wide --timeout=3600
	$(PYTHON) -m tests.operations.schedules.leader_kills
	$(PYTHON) -m tests.operations.dead_letters.replay_kills
	$(PYTHON) -m tests.operations.schedules.schedule_year
	$(PYTHON) -m tests.reliability
	$(PYTHON) -m tests.workers.chaos
	$(PYTHON) -m tests.reliability.mutations
	for name in import_files ingest_cpu peers oanda_bytes coinbase_bytes loop_stall ingest_memory answer_memory request_rate aged small_commits tick chart_month read chart_views coverage scale many_series checks dead_letter_pages console pages schedules startup instruments workers; do \
	  $(PYTHON) -m tests.benchmarks.$$name || exit 1; done

check: ## Style and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

requirements: ## requirements.txt from the lists in pyproject.toml
	$(PYTHON) -m tests.requirements

wheel: ## The package, in dist/
	$(PYTHON) -m pip wheel . --no-deps --wheel-dir dist
