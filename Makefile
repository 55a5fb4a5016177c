# Every target installs what it needs first. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CHECKED := $(VENV)/.checked

DEMO := demo
RUN := runs/sidewalk
SEEDS := 0 1 2
LINEAR := $(SEEDS:%=linear-%)
PPO := $(foreach temperature,1 1.15 1.3,$(SEEDS:%=ppo-$(temperature)-%))
TEMPERATURES := 0.1 0.5 1.0 1.15 1.3
PRICE := --action-penalty 0.001

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test floor third-party coverage stress lint sidewalk takecover takecover-rounds takecover-ablation post candidates ship bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(CHECKED)  ## create .venv with everything pinned, check the system libraries

# The constraints go to every install: an unpinned torch brings gigabytes of CUDA.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("dreamenv needs Python 3.11 or later, but $(PYTHON) is %d.%d; choose another with: make PYTHON=python3.11" % v[:2])'
	@echo "Installing into $(VENV) (about a minute with a warm cache, longer without) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

$(CHECKED): $(INSTALLED) tools/check_system.py
	@$(BIN)/python tools/check_system.py
	@touch $@

# One thread: two are hardly faster, and several times slower beside other work.
demo: setup  ## evolve a linear agent in the shipped dream, then try it in reality
	OMP_NUM_THREADS=1 $(BIN)/dreamenv evolve --world sidewalk --agent $(DEMO)/linear --generations 50 $(PRICE)
	$(BIN)/dreamenv compare --world sidewalk --agent $(DEMO)/linear --out $(DEMO)/compare --temperatures $(TEMPERATURES)

test: setup  ## run the tests
	$(BIN)/pytest

floor:  ## run the tests with the lowest versions that pyproject.toml allows, in an environment of their own
	sh benchmarks/third_party/floor.sh

third-party:  ## run other libraries' trainings and checkers on dreams, each in an environment of its own
	sh benchmarks/third_party/run.sh

coverage: setup  ## run the tests, and list the lines and branches that none of them reaches
	$(BIN)/pytest --cov

stress: setup  ## break every promise on purpose, thousands of times, and print the figures (about an hour)
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/stress --stress

lint: setup  ## run the linter, the formatter's check and the type checker
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

STAGES := $(RUN)/stages.txt
STAGE = printf '%-10s %5d s\n' $(1) $$(( $$(date +%s) - begin )) >>$(STAGES)

sidewalk: setup  ## make a world and two agents anew: collect, train, dream, compare, seconds by stage (about 20 minutes)
	@mkdir -p $(RUN) && rm -f $(STAGES)
	@begin=$$(date +%s); $(BIN)/dreamenv collect --env MiniWorld-Sidewalk-v0 --world $(RUN) --frames 66538 && $(call STAGE,collect)
	@begin=$$(date +%s); $(BIN)/dreamenv train --world $(RUN) && $(call STAGE,train)
	@begin=$$(date +%s); $(MAKE) --no-print-directory --jobs 2 linear-0 ppo-1.15-0 && $(call STAGE,dream)
	@begin=$$(date +%s); $(MAKE) --no-print-directory --jobs 2 compare-linear-0 compare-ppo-1.15-0 && $(call STAGE,compare)
	@cat $(STAGES)

takecover: setup  ## make a world of DoomTakeCover and the table of World Models: dream and reality by temperature (more than three hours)
	$(BIN)/python -m experiments takecover.temperature

takecover-rounds: setup  ## make such a world and its agents in rounds, by what the agents meet (hours)
	$(BIN)/python -m experiments takecover.rounds

takecover-ablation: takecover  ## change data, V or M of that world, one thing at a time, and score agents of each (hours)
	$(BIN)/python -m experiments takecover.ablation

POST := runs/post

post: setup  ## compare the navigation post's ideas: kinds of V, repulsion in M, what a controller sees (about twelve hours of a core)
	$(BIN)/dreamenv collect --env MiniWorld-Sidewalk-v0 --world $(POST) --frames 40000
	$(BIN)/python -m experiments post.visions --episodes $(POST)/episodes --root $(POST)/visions
	$(BIN)/python -m experiments post.repulsion --episodes $(POST)/episodes --root $(POST)/repulsion
	$(BIN)/python -m experiments post.inputs --episodes $(POST)/episodes --root $(POST)/inputs

# Two trainings side by side, on a core each: faster than one after the other on both.
.PHONY: $(LINEAR) $(PPO)
$(LINEAR): linear-%:
	OMP_NUM_THREADS=1 $(BIN)/dreamenv evolve --world $(RUN) --agent $(RUN)/agents/$@ --seed $* --generations 50 $(PRICE)
$(PPO): ppo-%:  # % is TEMPERATURE-SEED
	OMP_NUM_THREADS=1 $(BIN)/dreamenv ppo --world $(RUN) --agent $(RUN)/agents/$@ --temperature $(firstword $(subst -, ,$*)) --seed $(lastword $(subst -, ,$*))
compare-%:
	OMP_NUM_THREADS=1 $(BIN)/dreamenv compare --world $(RUN) --agent $(RUN)/agents/$*

candidates: setup  ## train twelve agents in the world of `make sidewalk`, choose on validation seeds, compare
	@$(MAKE) --no-print-directory --jobs 2 $(LINEAR) $(PPO)
	$(BIN)/dreamenv choose --world $(RUN) --agents $(LINEAR:%=$(RUN)/agents/%) --keep $(RUN)/agents/linear
	$(BIN)/dreamenv choose --world $(RUN) --agents $(PPO:%=$(RUN)/agents/%) --keep $(RUN)/agents/ppo
	$(BIN)/dreamenv compare --world $(RUN) --agent $(RUN)/agents/linear --temperatures $(TEMPERATURES)
	$(BIN)/dreamenv compare --world $(RUN) --agent $(RUN)/agents/ppo --temperatures $(TEMPERATURES)

ship: setup  ## put that world and the chosen agents into the package, and the record into docs/results
	$(BIN)/python tools/ship_world.py $(RUN)

bench: setup  ## measure the speed of dreams, training, reality and other libraries, beside this machine's limits
	$(BIN)/python -m benchmarks.speed.dream
	$(BIN)/python -m benchmarks.speed.training
	sh benchmarks/peers/run.sh

clean:  ## remove caches and build files; .venv, runs and demo stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache
	find . \( -path ./.venv -o -path ./runs -o -path ./.git \) -prune -o -type d -name __pycache__ -exec rm -rf {} +
