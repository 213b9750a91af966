# comntr: `make` lists what there is to make.
GO       ?= go
TOOL      = $(GO) tool -modfile=tools/go.mod
# Test binaries that link libp2p need about 1 GB each while they are linked.
FLAGS    ?=
FUZZTIME ?= 20s
BENCH    ?=
SUM       = $(TOOL) gotestsum --format pkgname
JSON     ?=

.DEFAULT_GOAL := help
.PHONY: help run demo build test e2e interop check web web-check web-test web-bench race vuln fuzz bench go-bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## run a server for the community reddit (the first build takes some minutes)
	@echo "building comntr; the first time this takes some minutes" >&2
	$(GO) run ./cmd/comntr serve

demo: ## three servers on this machine, walked through step by step
	@echo "building comntr; the first time this takes some minutes" >&2
	$(GO) run ./cmd/comntr demo

build: ## the binary, in bin/
	$(GO) build -o bin/ ./cmd/comntr

test: interop ## all tests but those of whole networks (the first build takes some minutes)
	@echo "building and testing; the first time this takes some minutes" >&2
	$(SUM) $(if $(JSON),--jsonfile=$(JSON)/test.json) -- $(FLAGS) ./...

e2e: interop web/node_modules/.package-lock.json ## the tests of whole networks: thousands of comments, kill -9, IPFS clients
	COMNTR_E2E=1 $(SUM) --format testname $(if $(JSON),--jsonfile=$(JSON)/e2e.json) -- -count=1 -timeout 30m -run 'E2E' $(FLAGS) ./cmd/comntr

interop: interop/node_modules/.package-lock.json ## the independent programs that tests talk to (needs Node)

interop/node_modules/.package-lock.json: interop/package-lock.json
	@if command -v npm >/dev/null; then echo "installing the npm packages that tests talk to" >&2; cd interop && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; \
	else echo "no npm here: tests against independent software are skipped" >&2; fi

check: ## gofmt, vet, staticcheck, and that go.mod is tidy
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt wants to change:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(GO) mod tidy -diff
	@echo "check: clean"

web: web/node_modules/.package-lock.json ## the page, into web/dist: a folder for any static host (needs Node)
	cd web && npm run --silent build

web-check: web ## that web/dist is what its sources make
	@git diff --exit-code --stat -- web/dist && test -z "$$(git ls-files --others web/dist)" || { echo "web/dist is not fresh: make web, and commit it"; exit 1; }
	@echo "web-check: fresh"

web-test: web/node_modules/.package-lock.json ## types and tests of the page (needs Node)
	cd web && npm run --silent check && npm test --silent

web/node_modules/.package-lock.json: web/package-lock.json
	@if command -v npm >/dev/null; then echo "installing the npm packages of the page" >&2; cd web && npm ci --no-audit --no-fund --loglevel=error; \
	else echo "no npm here: the page is neither built nor tested" >&2; fi

race: ## the tests of our packages under the race detector
	@echo "building with the race detector; the first time this takes some minutes" >&2
	$(SUM) $(if $(JSON),--jsonfile=$(JSON)/race.json) -- -race -short $(FLAGS) . ./internal/...

vuln: ## known vulnerabilities in what is linked (asks the vulnerability database)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@latest ./...

fuzz: ## each fuzz target for FUZZTIME
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; done

bench: build ## how fast server and page are: docs/performance.md (an hour, 20 GB of disk; BENCH=-only=posts,get for less)
	$(GO) run ./bench $(BENCH)
	$(if $(BENCH),,$(MAKE) web-bench)

go-bench: ## benchmarks of the packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

web-bench: web build ## how fast the page is: Chromium, 20,000 signed comments (needs Node and Chromium)
	cd web && node bench/page.mjs ../bin/comntr

clean: ## remove what make made
	rm -rf bin interop/node_modules web/node_modules
