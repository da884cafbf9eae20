# ustack: a TCP/IP host stack in one Go process. `make help` lists what there is.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c

GO          ?= go
ARGS        ?=
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
SUDO        := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Without cgo the command can give up its privileges on every thread at once.
BUILD := CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/ustack
	@scripts/setup go
	$(BUILD) -o bin/ustack ./cmd/ustack

.PHONY: demo
demo: ## a tour of under 30 seconds, no root needed: curl talks HTTP to our own TCP
	@scripts/setup demo
	@$(BUILD) -o bin/ustack ./cmd/ustack
	@bin/ustack demo $(ARGS)

.PHONY: run
run: build ## serve on http://10.90.0.2/ (root; flags in ARGS=…)
	$(SUDO) bin/ustack serve $(ARGS)

.PHONY: test
test: ## every test, a quick end-to-end run against the kernel's TCP included
	@scripts/setup test
	$(GO) test $(ARGS) $$($(GO) list ./... | grep -v '/scripts/e2e$$')
	cd scripts/bench && $(GO) test $(ARGS) ./...
	$(GO) test $(ARGS) ./scripts/e2e

.PHONY: race
race: ## the tests again under the race detector, the long ones shortened
	@scripts/setup test
	CGO_ENABLED=1 $(GO) test -race -short $(ARGS) $$($(GO) list ./... | grep -v '/stack/netsim$$')
	CGO_ENABLED=1 $(GO) test -race -short $(ARGS) ./stack/netsim -seeds 100 -bulk 1

.PHONY: e2e
e2e: ## the whole end-to-end run: curl, wrk, ab, ping, tshark and a browser against a served stack
	@scripts/setup e2e
	scripts/e2e/run $(ARGS)

.PHONY: lint
lint: ## gofmt, vet, staticcheck, the import graph
	@scripts/setup go
	@out=$$(gofmt -l .); [ -z "$$out" ] || { echo "gofmt wants to change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	cd scripts/bench && $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) test ./scripts/archtest

.PHONY: requirements
requirements: ## which test covers which row of docs/spec; brings docs/requirements.md up to date
	@scripts/setup go
	@$(GO) run ./scripts/requirements -write

.PHONY: fmt
fmt: ## gofmt every file
	gofmt -w .

.PHONY: bench
bench: build ## ustack beside the raw device, the kernel and gVisor: fifteen minutes, QUICK=1 five (root)
	@scripts/setup bench
	cd scripts/bench && CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -o ../../bin/ustack-bench .
	$(SUDO) $(if $(QUICK),QUICK=$(QUICK)) bin/ustack-bench $(ARGS)

.PHONY: wire
wire: ## ustack beside the kernel and gVisor behind a bad link: 13 minutes, QUICK=1 one (root)
	@scripts/setup go
	$(BUILD) -o bin/ustack-wire ./scripts/wire
	$(SUDO) $(if $(QUICK),QUICK=$(QUICK)) bin/ustack-wire $(ARGS)

.PHONY: clients
clients: build ## the HTTP clients that people use, curl to slowhttptest, against a served stack: six minutes (root)
	@scripts/setup clients
	$(BUILD) -o bin/ustack-clients ./scripts/clients
	$(SUDO) bin/ustack-clients $(ARGS)

.PHONY: microbench
microbench: ## the benchmarks of every package, and of HTTP beside net/http and fasthttp
	@scripts/setup go
	$(GO) test -run '^$$' -bench . -benchmem $(ARGS) ./...
	cd scripts/bench && $(GO) test -run '^$$' -bench . $(ARGS) .

.PHONY: glass-cost
glass-cost: ## what the hooks for tracers cost while nobody listens, beside a build without them: 20 rounds, eight minutes
	@scripts/setup go
	scripts/glasscost $(ARGS)

.PHONY: rename
rename: ## give the module another path: make rename MODULE=example.com/you/ustack
	@[ -n "$(MODULE)" ] || { echo "say which: make rename MODULE=example.com/you/ustack"; exit 2; }
	@$(GO) run ./scripts/rename "$(MODULE)"

.PHONY: clean
clean: ## remove what was built and captured
	rm -rf bin
	rm -f ./*.pcapng
