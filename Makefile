# `make help` lists the targets. PAAS_GO=/path/to/go picks the toolchain.
GO      := $(or $(PAAS_GO),$(shell command -v go || echo /usr/local/go/bin/go))
BIN     ?= bin
PKGS    ?= ./...
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LINTER  := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.2
SCRIPTS := install.sh cmd/paas-init/build.sh cmd/paas/go.sh cmd/paas/demo.sh .ci/run

# SQLite is the only C in paas itself. The tags leave out what cannot be linked statically: run-time loading
# of extensions, and the C library's name and user lookups.
STATIC  := -tags sqlite_omit_load_extension,netgo,osusergo \
           -ldflags '-s -w -X main.version=$(VERSION) -extldflags -static'

.DEFAULT_GOAL := help
.PHONY: build test lint fuzz bench bench-runtime bench-build bench-router bench-wake bench-releases bench-logs conformance conformance-http fault test-lifecycle vm-tests demo demo-stop dist clean help

build: ## bin/paas and bin/paas-init, both static
	CGO_ENABLED=1 $(GO) build -buildvcs=false -trimpath $(STATIC) -o $(BIN)/paas ./cmd/paas
	sh cmd/paas-init/build.sh $(BIN)/paas-init

test: lint ## lint, then every test with the race detector (root, Linux; 20-40 minutes on two cores)
	$(GO) test -race -timeout 60m $(PKGS)

# The linter caches findings under absolute paths, also those of a checkout that is gone: each has its own cache.
lint: ## gofmt, go vet, golangci-lint, shellcheck
	@unformatted=$$($(dir $(GO))gofmt -l $$(git ls-files '*.go')) && test -z "$$unformatted" || \
		{ echo "gofmt wants to change: $$unformatted" >&2; exit 1; }
	$(GO) vet $(PKGS)
	GOLANGCI_LINT_CACHE=$(abspath $(BIN))/lint $(GO) run $(LINTER) run $(PKGS)
	shellcheck $(SCRIPTS)

# Prints a benchmark's lines of figures. What tests log is told only when one fails; everything else is an error.
FIGURES := awk -F '\t' '!/^ / && NF >= 4 { print; fflush(); next } \
	/^=== |^PASS|^ok|^---|^ / { if (!/FAIL/) { held = held $$0 "\n"; next } } \
	{ printf "%s", held > "/dev/stderr"; held = ""; print > "/dev/stderr"; bad = 1 } END { exit bad }'

bench: bench-runtime bench-build bench-router ## everything side by side with its peers: crun, runc, bubblewrap, nginx, sshd (root; apt has them)
	@$(GO) test -count 1 -timeout 25m -run '^TestPeers$$' ./cmd/paas -peers -v | $(FIGURES)

bench-runtime: ## containers side by side with crun, runc and bubblewrap (root; Debian packages; ten minutes)
	@$(GO) test -count 1 -timeout 45m -run '^TestPeers$$' ./runtime -peers -v | $(FIGURES)

bench-build: ## what people wait for after git push, as ratios of what is allowed (root; Debian packages, a Go module proxy; half an hour)
	@$(GO) test -count 1 -timeout 45m -run '^TestBuildPeers$$' ./cmd/paas -peers -v | $(FIGURES)
	@$(GO) test -count 1 -timeout 45m -run '^TestPeersWeb$$' ./buildpacks -peers -v | $(FIGURES)
	@$(GO) test -count 1 -timeout 45m -run '^TestPeers$$' ./buildpacks/dockerfile -peers -v | $(FIGURES)
	@$(GO) test -count 1 -timeout 45m -run '^TestFairness$$' ./cmd/paas -peers -v | $(FIGURES)

bench-router: bench-wake ## the router side by side with nginx, HAProxy (root; Debian packages) and Caddy (its module); twenty minutes, two processors
	@$(GO) test -count 1 -timeout 45m -run '^TestRouterPeers$$' ./router -peers -v | $(FIGURES)

bench-wake: ## what visitors of sleeping apps wait for, beyond those of running ones (root; Debian packages)
	@$(GO) test -count 1 -timeout 20m -run '^TestWakePeers$$' ./cmd/paas -peers -v | $(FIGURES)

bench-releases: ## rollbacks and config:set beside a restart, and beside podman's kill and start (root; Debian packages)
	@$(GO) test -count 1 -timeout 20m -run '^TestReleasePeers$$' ./cmd/paas -peers -v | $(FIGURES)

bench-logs: ## the log store beside journald, grep and zstdgrep, with five million lines (Debian packages zstd, systemd-journal-remote)
	@$(GO) test -count 1 -timeout 30m -run '^TestLogPeers$$' ./runtime/logbook -peers -v | $(FIGURES)

conformance: ## other people's tests of the runtime, side by side with crun and runc; writes docs/conformance.md (root)
	$(GO) test -count 1 -timeout 30m ./runtime/oci/conformance -all -document $(CURDIR)/docs/conformance.md

conformance-http: ## cases of RFC 9110 and 9112, and h2spec, through the router, nginx, HAProxy and Caddy; writes docs/conformance-http.md (Debian packages nginx-light, haproxy; the module proxy; some five minutes)
	$(GO) test -count 1 -timeout 30m -run '^TestPeers$$' ./router/conformance -peers -v -document $(CURDIR)/docs/conformance-http.md

fault: ## kill daemons, inits and everything at once at random moments, 200 times (root; some two minutes)
	$(GO) test -race -count 1 -timeout 60m ./runtime/fault -rounds $(or $(ROUNDS),200)

test-lifecycle: ## an app built by a builder image of Cloud Native Buildpacks, with the lifecycle compiled for it (root; some minutes)
	$(GO) test -race -count 1 -timeout 30m -run '^TestBuilderImage$$' ./cmd/paas -lifecycle -v

fuzz: ## look for requests, answers and bodies that are read in two ways; FUZZTIME each (default 1m)
	@for target in FuzzRequest FuzzChunks FuzzAnswer FuzzRewrite FuzzConnection; do \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(FUZZTIME),1m) ./router/http1 || exit 1; done
	@for target in FuzzSegment FuzzHead; do \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(FUZZTIME),1m) ./runtime/logbook || exit 1; done

vm-tests: ## run the runtime's tests on another machine: make vm-tests HOST=root@192.0.2.1 (see docs/testbed.md)
	@PAAS_GO=$(GO) bash runtime/runtimetest/vm.sh $(HOST)

demo: ## a private platform under ./.demo with an app pushed to it (sudo)
	@PAAS_GO=$(PAAS_GO) sh cmd/paas/demo.sh start

demo-stop: ## end the demo and remove what it made (sudo)
	@PAAS_GO=$(PAAS_GO) sh cmd/paas/demo.sh stop

dist: build ## the release archive and its SHA256SUMS, in dist/
	mkdir -p dist
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -czf dist/paas_$(VERSION)_linux_amd64.tar.gz \
		-C $(abspath $(BIN)) paas paas-init -C $(CURDIR)/cmd/paas paas.service -C $(CURDIR) install.sh LICENSE
	cd dist && sha256sum paas_*_linux_amd64.tar.gz > SHA256SUMS

clean: ## what build and dist made
	rm -rf bin dist

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
