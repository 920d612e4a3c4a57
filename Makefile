.DEFAULT_GOAL := help
UV := $(shell command -v uv 2>/dev/null)
ifndef UV # then one of our own, which all checkouts share
UV_VERSION := 0.13.9
UV_HOME := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/millrace/uv-$(UV_VERSION)
UV := $(UV_HOME)/bin/uv
export PATH := $(UV_HOME)/bin:$(PATH)
endif
RUN := $(UV) run --quiet
CHECKED := src jobs tests benchmarks docker
# The Java processes of most tests end before optimized code pays: without it a job takes three quarters of the time,
# and a broker half of the CPU. Commands start often, so that what Python compiled is kept in any environment.
SHORT_LIVED := PYTHONDONTWRITEBYTECODE= JDK_JAVA_OPTIONS=-XX:TieredStopAtLevel=1

COMPOSE = docker compose -f docker/compose.yaml --profile tweets
TWEETS := kafka mongodb mongo-express app

.PHONY: help setup pydoop ollama demo sql_client superset check format test faults soak bench notebooks lock down clean \
	docker_build docker_up docker_down docker_clean remote_collection_stream remote_aggregation_stream

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / {printf "  make %-25s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV_HOME)/bin/uv: # no uv on the PATH
	@command -v python3 >/dev/null || { echo "make needs python3, or uv: install python3 and python3-venv, then run make again" >&2; exit 2; }
	@echo "there is no uv on the PATH: getting uv $(UV_VERSION) from PyPI, once for all checkouts" >&2
	@python3 -m venv "$(UV_HOME)" || { echo "make needs python3's venv, or uv: install python3-venv, then run make again" >&2; exit 2; }
	@"$(UV_HOME)/bin/pip" install --quiet --disable-pip-version-check uv==$(UV_VERSION)

setup: $(UV) ## Install the Python packages, a Java among them, into .venv
	@$(UV) sync --frozen --inexact --compile-bytecode $(if $(wildcard .venv),--quiet) # pydoop, which is built apart, stays

pydoop: setup ## Build pydoop for the single-file archive on HDFS: Python 3.11, g++, javac, libtirpc-dev
	@$(RUN) python -m millrace.cli.build_pydoop

ollama: setup ## Build Ollama and train the tests' language model, into the cache: Go, g++, minutes, once
	@$(RUN) python -m millrace.stack.ollama_build
	@$(RUN) python -m tests.tiny_model

demo: setup ## Watch it work: make demo ARGS="--source simulator --seconds 90"
	@$(RUN) millrace demo $(ARGS)

sql_client: setup ## Open Spark SQL over MongoDB: make sql_client ARGS='-e "SELECT * FROM twitter_table"'
	@$(RUN) millrace sql $(ARGS)

superset: setup ## Show MySQL in Superset: make superset ARGS=--feed feeds it from the simulators
	@$(RUN) python -m millrace.superset $(ARGS)

check: setup ## Format, lint and types, as CI runs them
	@$(RUN) ruff format --check $(CHECKED)
	@$(RUN) ruff check $(CHECKED)
	@$(RUN) mypy

format: setup ## Format and mend what ruff can mend
	@$(RUN) ruff format $(CHECKED)
	@$(RUN) ruff check --fix $(CHECKED)

test: setup ## Run all tests against real servers that they start themselves, two files at a time
	@$(SHORT_LIVED) $(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not faults and not soak and not bench" $(ARGS)

faults: setup ## Run the fault injection tests, the ten-minute stream among them, and many examples of the property tests
	@$(RUN) pytest tests/faults -m "not soak" --timeout 3600 $(ARGS)
	@$(RUN) pytest tests/unit tests/spark -m hypothesis --hypothesis-profile more --timeout 3600

soak: setup ## Run two hours at ten times the live rate
	@$(RUN) pytest tests/faults -m soak --timeout 10800 -s $(ARGS)

bench: setup ## Print throughput and latency with the machine they were measured on
	@$(RUN) python -m benchmarks $(ARGS)

notebooks: setup ## Open the notebooks in Jupyter
	@$(RUN) --extra notebooks jupyter lab notebooks

lock: setup ## Pin packages and server artifacts anew
	@$(UV) lock --upgrade
	@$(RUN) python -m millrace.stack.lock

down: setup ## Stop the local servers
	@$(RUN) millrace down

clean: down ## Stop the local servers and remove all state
	@rm -rf .millrace

docker_build: ## Build the image of millrace
	@$(COMPOSE) build app

docker_up: ## Start Kafka, MongoDB, its viewer and a generator of tweets in containers (docs/tweets.md)
	@$(COMPOSE) up --wait $(TWEETS)

docker_down: ## Stop these containers; what they stored stays
	@$(COMPOSE) down

docker_clean: ## Stop all containers of docker/compose.yaml and remove what they stored, and the image of millrace
	@$(COMPOSE) --profile dashboards --profile sentiment down --volumes --remove-orphans
	@docker image rm --force millrace/app:0.1.0

remote_collection_stream: ## In the container: collect the tweets into Kafka, until Ctrl-C
	@$(COMPOSE) exec app millrace ingest tweets --url ws://localhost:5555 $(ARGS)

remote_aggregation_stream: ## In the container: windows of tweets with case numbers into MongoDB, until Ctrl-C
	@$(COMPOSE) exec app millrace run cases --window 20s --sink mongodb $(ARGS)
