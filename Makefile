# Everything starts from a bare machine with python3 (3.11 or newer), make and bash: the first target that runs makes
# .venv and installs what is missing; later runs find it done and start at once.
#
#   make demo    the whole loop on sample data, results in demo_out/
#   make test    all tests            make test ARGS="-k labels"
#   make check   ruff, mypy, import-linter, audit
#   make audit   known vulnerabilities in what it depends on
#   make bench   all benchmarks       make bench ARGS="--tasks nuclei --n 1"   a part of the accuracy tables
#   make speed   speed alone          make speed ARGS="--quick"
#   make latency stalls of the window while the engine works   make latency ARGS="--quick"
#   make scale   many workers, and what follows for a million slices   make scale ARGS="--slices 16"
#   make suggestions  Next slice against chance   make suggestions ARGS="--tasks vessels"
#   make memory  peak memory of 10,000 slices against 100   make memory ARGS="--quick"
#   make torture kills, faults, fuzz, random loops, a long day; benchmarks/RELIABILITY.md   make torture ARGS="--quick"
#   make clean   remove what make made (keeps downloaded data)

SHELL := /bin/bash
BIN := .venv/bin
OUT ?= demo_out
ARGS ?=
TEST_JOBS ?= 2
BENCH_JOBS ?= 2
BENCH_MINUTES ?= 60

.PHONY: help demo test check audit format bench speed latency scale suggestions memory torture clean setup window

help:
	@sed -n '/^#   make/s/^#//p' Makefile

setup:
	@bash scripts/setup.sh python test,check

window:
	@bash scripts/setup.sh window

demo: setup
	$(BIN)/napari-salt demo --out $(OUT) $(ARGS)

# pytest-xvfb gives the tests a screen of their own on Linux (one for each of TEST_JOBS processes); elsewhere they use the real one.
test: setup window
	QT_API=pyqt6 $(if $(filter Linux,$(shell uname -s)),QT_QPA_PLATFORM=xcb) $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/audit.py

audit: setup
	$(BIN)/python scripts/audit.py

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Without ARGS: every benchmark, for as long as BENCH_MINUTES and half of that; called again, it goes on where it stopped.
bench: setup
	@bash scripts/setup.sh python test,check,bench
ifneq ($(strip $(ARGS)),)
	$(BIN)/python benchmarks/accuracy.py $(ARGS)
else
	$(BIN)/python benchmarks/accuracy.py --jobs $(BENCH_JOBS) --budget-minutes $(BENCH_MINUTES)
	$(BIN)/python benchmarks/ablation.py --jobs $(BENCH_JOBS) --budget-minutes $$(($(BENCH_MINUTES) / 2))
	$(BIN)/python benchmarks/speed.py
endif

speed: setup
	$(BIN)/python benchmarks/speed.py $(ARGS)

latency: setup window
	QT_API=pyqt6 $(BIN)/python benchmarks/latency.py $(ARGS)

scale: setup
	$(BIN)/python benchmarks/scale.py $(ARGS)

suggestions: setup
	$(BIN)/python benchmarks/suggestions.py $(ARGS)

memory: setup
	$(BIN)/python benchmarks/memory.py $(ARGS)

torture: setup window
	QT_API=pyqt6 $(BIN)/python benchmarks/torture.py $(ARGS)

clean:
	rm -rf .venv demo_out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path "./.git/*" -prune -exec rm -rf {} +
