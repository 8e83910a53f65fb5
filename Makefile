# The two commands of the README are "make demo" and "make test".

PEERS = bird2 bind9 bind9-dnsutils knot strongswan-charon strongswan-swanctl libcharon-extra-plugins libstrongswan-standard-plugins nftables ethtool tcpdump iproute2 util-linux procps

.PHONY: build demo test race lint fuzz peers clean

build:
	CGO_ENABLED=0 go build -trimpath -o bin/anycastd ./cmd/anycastd

# The whole story on this machine, in network namespaces of its own. Needs root.
demo: build
	./bin/anycastd demo

# All tests, against real peers. As root nothing is skipped.
test: peers
	go test -count=1 -timeout 15m ./...

# Debian's packages start their daemons when they are installed; the tests
# start the peers themselves, so that is kept from happening.
peers:
	@if [ "$$(id -u)" = 0 ] && ! dpkg -s $(PEERS) >/dev/null 2>&1; then \
		set -e; \
		if [ ! -e /usr/sbin/policy-rc.d ]; then \
			printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; \
			trap 'rm -f /usr/sbin/policy-rc.d' EXIT; \
		fi; \
		apt-get update -q; \
		DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(PEERS); \
	fi

race: peers
	go test -race -timeout 30m ./...

lint:
	test -z "$$(gofmt -l .)"
	go vet ./...
	go tool staticcheck ./...

# Each fuzz target in turn, for FUZZTIME.
FUZZTIME = 10m
fuzz:
	@set -e; grep -rl '^func Fuzz' --include='*_test.go' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "$$(dirname "$$file") $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")"; \
		done; \
	done

clean:
	rm -rf bin
