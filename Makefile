# Minehound. `make help` lists the targets. Everything a target needs beyond Go and the packages of e2e/packages.sh is
# installed, pinned, into ./bin.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

# Tests run where their package lies, so the path has to be absolute.
MINEHOUND_SHARED ?= ../shared
override export MINEHOUND_SHARED := $(abspath $(MINEHOUND_SHARED))

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -s -w -X main.version=$(VERSION)
FUZZTIME  ?= 1m
BENCHTIME ?= 1s
BENCH     ?= .
STRICT    := $(if $(filter true,$(CI)),-strict)

GOLANGCI := bin/golangci-lint-2.15.0

.PHONY: build test unit lint cross arm64 e2e e2e-full bench eval fuzz generate packages clean help

build: ## build ./bin/minehound
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

test: packages ## everything: unit tests with -race, lint, cross-builds, arm64 under qemu, end to end
	@go run ./e2e/tally $(STRICT) \
	  'unit=go test -json -race -timeout 30m ./...' \
	  'lint=make --no-print-directory lint' \
	  'cross=MINEHOUND_CROSS=1 go test -json -count=1 -timeout 40m -run "^TestCross" ./e2e' \
	  'arm64=e2e/arm64.sh -json' \
	  'e2e=MINEHOUND_E2E=1 go test -json -count=1 -timeout 60m -skip "^TestScoreboard$$" ./e2e' # the unit stage has it

unit: ## unit tests alone, with -race
	go test -race -timeout 30m ./...

lint: $(GOLANGCI) ## golangci-lint, shellcheck, and the size alarms as a list
	$(GOLANGCI) run
	shellcheck .ci/run $$(find . -name '*.sh' -not -path './bin/*' -not -path './.git/*')
	go test -count=1 -run '^TestSizeAlarms$$' -v ./agent

cross: ## build and vet for every platform
	MINEHOUND_CROSS=1 go test -count=1 -timeout 40m -run '^TestCross' -v ./e2e

arm64: ## unit tests as a linux/arm64 program under qemu-user
	e2e/arm64.sh

e2e: packages ## end to end, the short form: real miner, honest load, webhook, Windows under Wine
	MINEHOUND_E2E=1 go test -count=1 -timeout 60m -v ./e2e

e2e-full: packages ## end to end, the full form: the same cases with real times
	MINEHOUND_E2E=full go test -count=1 -timeout 12h -v ./e2e

bench: ## benchmarks, then how many times cheaper than the yardstick each one is
	@e2e/bench.sh '$(BENCH)' '$(BENCHTIME)'

eval: ## replay the recorded traces: for every rule its hits and the weight they support
	go test -count=1 -run '^TestScoreboard$$' -v ./e2e

fuzz: ## every Fuzz function for FUZZTIME (1m)
	@e2e/fuzz.sh '$(FUZZTIME)'

generate: ## write again what is generated and committed
	go generate ./...

packages: ## install the Debian packages that the tests need (as root)
	@e2e/packages.sh

# The version is part of the name, so that another pin is another file.
$(GOLANGCI):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(patsubst bin/golangci-lint-%,%,$@)
	mv bin/golangci-lint $@

clean: ## remove what was built
	rm -rf bin dist

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
