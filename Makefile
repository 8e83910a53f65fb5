# The two commands of the README are "make demo" and "make test".

PEERS = bird2 frr exabgp bind9 bind9-dnsutils knot strongswan-charon strongswan-swanctl libcharon-extra-plugins libstrongswan-standard-plugins libnss3-tools nftables ethtool tcpdump iproute2 util-linux procps curl openssl
LIBRESWAN = bin/peers/libreswan
PLUTO = $(LIBRESWAN)/usr/libexec/ipsec/pluto

.PHONY: build demo test bench race lint fuzz peers clean

build:
	CGO_ENABLED=0 go build -trimpath -o bin/anycastd ./cmd/anycastd

# The whole story on this machine, in network namespaces of its own. Needs root.
demo: build
	./bin/anycastd demo

# All tests, against real peers. As root nothing is skipped.
test: peers
	go test -count=1 -timeout 15m ./...

# Debian's packages start their daemons when they are installed; the tests
# start the peers themselves, so that is kept from happening. libreswan's
# package conflicts with strongSwan's: it is unpacked into a folder of its own,
# and only the libraries that it depends on are installed.
peers:
	@set -e; \
	if [ "$$(id -u)" != 0 ]; then exit 0; fi; \
	if dpkg -s $(PEERS) >/dev/null 2>&1 && $(PLUTO) --version >/dev/null 2>&1; then exit 0; fi; \
	if [ ! -e /usr/sbin/policy-rc.d ]; then \
		printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; \
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT; \
	fi; \
	apt-get update -q; \
	rm -rf $(LIBRESWAN); mkdir -p $(LIBRESWAN); \
	(cd $(LIBRESWAN); apt-get download -q libreswan); \
	libraries=$$(dpkg-deb -f $(LIBRESWAN)/*.deb Depends | tr , '\n' | sed -n 's/^ *\(lib[^ ]*\).*/\1/p'); \
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends --no-upgrade $(PEERS) $$libraries; \
	dpkg -x $(LIBRESWAN)/*.deb $(LIBRESWAN)

# What docs/performance.md tells, on 2 CPUs that have nothing else to do.
bench: peers
	go test -tags bench -count=1 -timeout 60m -v -run '^TestBench$$' ./test

race: peers
	go test -race -timeout 30m ./...

lint:
	test -z "$$(gofmt -l .)"
	go vet -tags bench ./...
	go tool staticcheck -tags bench ./...

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
