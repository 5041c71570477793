# KongDao. `make help` lists the targets; `make demo` and `make test` need nothing
# but Go, Python 3 with pip, Node with npm, and make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps engines build demo up test race check check-arch check-fmt check-generate lint fmt bench chaos e2e fuzz golden pictures clean

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
TOOL := $(GO) tool -modfile=tools/go.mod
# -p 2: packages start real engines, and more at a time starve each other's.
GOTEST := $(GO) test -timeout 30m -p 2
FUZZTIME ?= 30s
BENCHTIME ?= 1s
# Of make chaos; KONGDAO_CHAOS_SEED repeats the choices of a run.
KONGDAO_CHAOS_ROUNDS ?= 200
ARGS ?=

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

deps: ## get Envoy, the embedded ClickHouse and the Go modules into .deps
	@deploy/deps/get.sh

engines: ## get what runs, without what only tests need
	@deploy/deps/get.sh engines

build: ## build bin/kongdao
	$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/kongdao ./cmd/kongdao

demo: engines build ## run the main job once on a demo fleet and print the report
	bin/kongdao demo $(ARGS)

up: engines build ## run the whole system on this machine until Ctrl-C
	bin/kongdao up $(ARGS)

# The whole-system tests measure a pod and a limit: they have the machine to
# themselves, after the others.
test: deps ## run every test, on real Envoy and real ClickHouse
	$(GOTEST) $$($(GO) list ./... | grep -v '/e2e$$')
	$(GOTEST) ./e2e

race: deps ## run every test with the race detector
	CGO_ENABLED=1 $(GOTEST) -race $$($(GO) list ./... | grep -v '/e2e$$')

check: check-fmt lint check-arch check-generate ## what CI runs besides the tests: format, lint, vet, imports, generated files

check-fmt:
	@unformatted=$$($(TOOL) gofumpt -l .); if [ -n "$$unformatted" ]; then \
		echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi

lint:
	$(GO) vet ./...
	$(TOOL) golangci-lint run

check-arch:
	$(GO) test ./internal/arch

# A file that a generator changes was not regenerated before it was committed.
GENERATED := find . -name .deps -prune -o -type f \( -name 'zz_generated*' -o -name '*.pb.go' -o -path './docs/reference/*' \) -print | sort | xargs -r sha256sum
check-generate:
	@before=$$($(GENERATED)); $(GO) generate ./...; after=$$($(GENERATED)); \
	if [ "$$before" != "$$after" ]; then \
		echo "go generate changed files, commit them:"; diff <(echo "$$before") <(echo "$$after"); exit 1; fi

fmt: ## format the code
	$(TOOL) gofumpt -w .

bench: deps ## run the benchmarks, with allocations per operation
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -p 1 -timeout 30m ./...

e2e: deps ## run the whole-system tests alone
	$(GOTEST) -count 1 -v ./e2e/...

chaos: deps ## kill processes: the whole-system tests three times, the collector and ClickHouse 200 times
	$(GOTEST) -count 3 -v -run 'Kill|Chaos|Zone|Restart|Interrupt|Noise|Reload' ./e2e/... ./deploy/embedded/...
	KONGDAO_CHAOS_ROUNDS=$(KONGDAO_CHAOS_ROUNDS) $(GOTEST) -count 1 -v ./collector/chaos
	for i in $$(seq 20); do KONGDAO_TEST_SEED=$$(date +%s%N) $(GOTEST) -count 1 -run Agrees ./xds/explain; done

fuzz: ## run each fuzz target for FUZZTIME (30s)
	@grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u | while read -r dir; do \
		for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$$dir"/*_test.go | cut -d' ' -f2); do \
			echo "$$dir $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir"; \
		done; done

pictures: ## draw messages as a phone shows them, for people to look at (needs chromium)
	$(GO) test ./alerting/dingtalk -count 1 -run TestPictures -pictures $(CURDIR)/docs/pictures

golden: ## rewrite the golden files from what the code does now
	@grep -rlE --include='*_test.go' 'flag\.Bool\("update"' . | xargs -r -n1 dirname | sort -u | while read -r dir; do \
		echo "$$dir"; $(GO) test "$$dir" -update; done

clean: ## remove what was built; .deps stays
	rm -rf bin
