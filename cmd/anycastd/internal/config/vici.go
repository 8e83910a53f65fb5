package config

import (
	"errors"
	"path/filepath"
	"strings"
)

// vici checks where a gateway tells its load.
func (c *checker) vici(raw *gatewayTable, path string) VICI {
	if raw.VICI == "" {
		return VICI{}
	}
	network, address, err := dialed(raw.VICI)
	if err != nil {
		c.fault(path+".vici", "gateway.vici: %s %v", quote(raw.VICI), err).
			suggest("write \"unix:/run/charon.vici\" for a gateway on this host, \"tcp:198.51.100.11:4502\" for any other")
		return VICI{}
	}
	if raw.Capacity == 0 && !c.faulty(path+".capacity") {
		c.warn(path+".vici", "the load of gateway %s can't be told without its capacity", quote(raw.Name)).suggest("add capacity = 20000, the sessions that it can hold")
	}
	if stale := c.staleAfter; raw.VICIEvery >= stale && !c.faulty(path+".vici_every") {
		c.fault(path+".vici_every", "gateway.vici_every is %v, and a load is too old after %v: it would always be unknown", raw.VICIEvery, stale).
			suggest("ask at least every %v, or raise policy.stale_after", stale/3)
	}
	return VICI{Network: network, Address: address, Every: raw.VICIEvery}
}

// dialed returns what stands for a socket: unix:/path or tcp:host:port.
func dialed(s string) (network, address string, err error) {
	network, address, _ = strings.Cut(s, ":")
	switch {
	case network == "unix" && !filepath.IsAbs(address):
		err = errors.New("has no absolute path")
	case network == "unix" && len(address) > maxSocketPath:
		err = errors.New("has a path too long for a socket")
	case network == "tcp":
		if err = checkListen(address); err == nil {
			_, err = endpoint(address, "")
		}
	case network != "unix":
		err = errors.New("is neither unix:/path nor tcp:host:port")
	}
	return network, address, err
}
