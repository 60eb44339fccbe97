# make run     the demo: a whole incident on this machine, nothing to install
# make test    every test; those against real peers run where the peers are installed; ends with what was skipped, and why
# make test-short   the quick ones: no real peer, no browser, no long wait, no race detector
# make check   format, vet, lint, module files
# make bench   the benchmarks, each beside its limit measured in the same run
# make crash   kill -9 at random moments, broken disks and journals: counts what is lost
# make chaos   peers that misbehave, overload, and a long soak
# make siege   attacks on memory, on what others need, and on the journal's files, under 1 GiB: counts what is lost
# make lab     live incidents on a small real system, and what was said of them (docs/lab.md); LAB_SCENARIOS=…, LAB_KNOWLEDGE=…
# make sbom    what is linked into the binary, with versions and licences (CycloneDX)

GO            ?= go
PKGS          ?= ./...
VERSION       := $(shell cat VERSION)
REVISION      := $(shell git rev-parse --short HEAD 2>/dev/null)
BRANCH        := $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null)
V             := github.com/prometheus/common/version
LDFLAGS       := -s -w -X $(V).Version=$(VERSION) -X $(V).Revision=$(REVISION) -X $(V).Branch=$(BRANCH)
LINT          := $(GO) tool -modfile=tools/golangci-lint/go.mod golangci-lint
IMAGE         ?= triaged:$(VERSION)

# REQUIRE_PEERS=1 turns a test that would be skipped for want of a peer into a failure.
export REQUIRE_PEERS

.PHONY: helm run build demo test test-short check fmt lint bench crash chaos siege lab sbom fuzz vuln image clean

run: demo
	./bin/triaged-demo demo

# What ships, without the Kafka broker and the Prometheus of the demo; its command demo runs bin/triaged-demo.
build: demo
	CGO_ENABLED=0 $(GO) build -trimpath -tags nodemo -ldflags '$(LDFLAGS)' -o bin/triaged ./cmd/triaged

demo:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/triaged-demo ./cmd/triaged

# The output is go test's own; tools/tested only listens for what is skipped.
SKIPPED := $(CURDIR)/bin/skipped
tested  = mkdir -p bin; rm -f $(SKIPPED); ROOT=$(CURDIR) SKIPPED=$(SKIPPED) $(GO) test -exec $(CURDIR)/tools/tested $(1) $(PKGS); code=$$?; ./tools/skipped.sh $(SKIPPED); exit $$code

test:
	./tools/peers.sh
	@$(call tested,-race -shuffle=on -timeout=20m)

test-short:
	@$(call tested,-short -shuffle=on -timeout=5m)

check:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt'ed (run make fmt):"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) fix -diff ./...
	$(GO) vet ./...
	$(GO) mod tidy -diff
	$(LINT) run

fmt:
	gofmt -w $$(git ls-files '*.go')

lint:
	$(LINT) run

PROOF = $(GO) run ./test/proof -binary=bin/triaged

# BENCH=json prints the harness's lines as JSON and leaves the packages' own benchmarks out.
BENCH ?= text
bench: build
	$(PROOF) -format=$(BENCH) bench
	@[ $(BENCH) = json ] || $(GO) test -run='^$$' -bench=. -benchmem $(PKGS)

KILLS ?= 300
SEED  ?= 1
crash: build
	$(PROOF) -kills=$(KILLS) -seed=$(SEED) crash

SOAK ?= 15m
chaos: build
	$(PROOF) -soak=$(SOAK) chaos

siege: build
	$(PROOF) -seed=$(SEED) siege

LAB_SCENARIOS ?= all
LAB_KNOWLEDGE ?= declared,partly,none
LAB_OUT       ?= bin/lab-results
lab: build
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/lab ./test/lab
	./bin/lab -binary=bin/triaged -out=$(LAB_OUT) -seed=$(SEED) -scenarios=$(LAB_SCENARIOS) -knowledge=$(LAB_KNOWLEDGE)

sbom: build
	$(PROOF) sbom > bin/triaged.cdx.json

FUZZTIME ?= 30s
fuzz:
	FUZZTIME=$(FUZZTIME) ./tools/fuzz.sh

vuln:
	$(GO) tool -modfile=tools/govulncheck/go.mod govulncheck ./...

# The tests of the chart run where it is there. Built once, it stays in bin/.
helm: bin/helm
bin/helm: tools/helm/go.mod
	cd tools/helm && $(GO) build -o ../../bin/helm helm.sh/helm/v4/cmd/helm

CA_BUNDLE ?= /etc/ssl/certs/ca-certificates.crt

# Needs buildah and no container engine. The image is from scratch: the binary, the CA bundle, the reference configuration.
image: build
	mkdir -p bin/empty
	cp $(CA_BUNDLE) bin/ca-certificates.crt
	buildah build -t $(IMAGE) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) .

clean:
	rm -rf bin data
