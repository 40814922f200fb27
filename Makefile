# Verbs only; what they do is in scripts/.
.DEFAULT_GOAL := help
.PHONY: help run test lint bench bench-core

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
	@echo
	@echo '  Settings of make run: scripts/run --help'

run: ## Set up, build and start everything on this machine; Ctrl-C stops it
	@scripts/run

test: ## Lint, build and run all tests
	@scripts/test

lint: ## Format, clippy, documentation, dependencies, scripts
	@scripts/lint

bench: ## Compare speed and memory with the alternatives; ARGS=--quick for less, ARGS=--help for more
	@scripts/bench $(ARGS)

bench-core: ## Micro-benchmarks of the decisions
	@cargo bench --locked -p gatelatch-core
