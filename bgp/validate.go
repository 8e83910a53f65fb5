package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Limits of a neighbor's settings.
const (
	minHoldTime     = 3 * time.Second     // RFC 4271 section 4.2: zero or at least three seconds
	maxHoldTime     = 65535 * time.Second // two octets on the wire
	minConnectRetry = time.Second
	maxConnectRetry = time.Hour
	maxRestartTime  = maxRestart * time.Second // twelve bits on the wire (RFC 4724 section 3)
	maxPassword     = 80                       // octets; the kernel's TCP_MD5SIG_MAXKEYLEN
	maxInterface    = 15                       // octets; the kernel's IFNAMSIZ less one
)

// Validate returns everything that is wrong with c, joined, or nil.
func (c Config) Validate() error {
	var errs []error
	if c.ASN == 0 {
		errs = append(errs, errors.New("asn 0 is reserved (RFC 7607)"))
	}
	if !c.RouterID.Is4() || c.RouterID.IsUnspecified() {
		errs = append(errs, fmt.Errorf("router id %v is not an IPv4 address", c.RouterID))
	}
	if c.ListenPort < -1 || c.ListenPort > 65535 {
		errs = append(errs, fmt.Errorf("listen port %d is not a TCP port and not -1", c.ListenPort))
	}
	for _, addr := range c.Listen {
		if !addr.IsValid() || addr.Is4In6() || addr.IsMulticast() {
			errs = append(errs, fmt.Errorf("listen address %v is not an address of a host", addr))
		}
	}
	errs = append(errs, validateNextHops(c.NextHops), validateNeighbors(c.Neighbors))
	return errors.Join(errs...)
}

// validateNextHops holds next hops to one usable address per family.
func validateNextHops(hops []netip.Addr) error {
	var errs []error
	for i, hop := range hops {
		if !isNextHop(hop) {
			errs = append(errs, fmt.Errorf("next hop %v is not a unicast address", hop))
		}
		if slices.ContainsFunc(hops[:i], func(h netip.Addr) bool { return h.Is4() == hop.Is4() }) {
			errs = append(errs, fmt.Errorf("next hop %v is the second of its family", hop))
		}
	}
	return errors.Join(errs...)
}

// isNextHop reports whether hop can stand in a route.
func isNextHop(hop netip.Addr) bool { return isUnicast(hop) && hop.Zone() == "" }

// isUnicast reports whether a is one host's address.
func isUnicast(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.Is4In6()
}

// validateNeighbors checks each neighbor, and that no address comes twice.
func validateNeighbors(neighbors []Neighbor) error {
	var errs []error
	seen := make(map[netip.Addr]bool, len(neighbors))
	passwords := make(map[netip.Addr]string, len(neighbors))
	for _, n := range neighbors {
		if err := n.validate(); err != nil {
			errs = append(errs, fmt.Errorf("neighbor %v: %w", n.Address, err))
		}
		if seen[n.Address] {
			errs = append(errs, fmt.Errorf("neighbor %v is there twice", n.Address))
		}
		seen[n.Address] = true
		bare := n.Address.WithZone("")
		if other, ok := passwords[bare]; ok && other != n.Password {
			errs = append(errs, fmt.Errorf("neighbor %v: another one with that address on another link has another password, which the kernel cannot tell apart", n.Address))
		}
		passwords[bare] = n.Password
	}
	return errors.Join(errs...)
}

// validate returns the first thing that is wrong with n.
func (n Neighbor) validate() error {
	switch {
	case !isUnicast(n.Address):
		return errors.New("not a unicast address")
	case n.Address.Is6() && n.Address.IsLinkLocalUnicast() && n.Address.Zone() == "":
		return errors.New("a link-local address needs its interface, as in fe80::1%eth0")
	case n.ASN == 0:
		return errors.New("asn 0 is reserved (RFC 7607)")
	case n.Families&^(IPv4Unicast|IPv6Unicast) != 0:
		return fmt.Errorf("families %#x are not all known", uint8(n.Families))
	case n.Multihop < 0 || n.Multihop > maxTTL:
		return fmt.Errorf("%d hops are not 0 to %d", n.Multihop, maxTTL)
	case n.MaxPrefixes < 0:
		return fmt.Errorf("%d prefixes at most are less than none", n.MaxPrefixes)
	case n.NextHop.IsValid() && !isNextHop(n.NextHop):
		return fmt.Errorf("next hop %v is not a unicast address", n.NextHop)
	}
	return errors.Join(n.validateEnds(), n.validateTimes())
}

// validateEnds checks what n says of the connection.
func (n Neighbor) validateEnds() error {
	local := n.LocalAddress
	switch {
	case len(n.Password) > maxPassword:
		return fmt.Errorf("password of %d octets, at most %d fit into TCP MD5", len(n.Password), maxPassword)
	case len(n.Interface) > maxInterface:
		return fmt.Errorf("interface %s has a name of more than %d octets", n.Interface, maxInterface)
	case n.Interface != "" && n.Address.Zone() != "" && n.Interface != n.Address.Zone():
		return fmt.Errorf("interface %s is not that of the address", n.Interface)
	case local.IsValid() && (local.Is4() != n.Address.Is4() || local.Is4In6()):
		return fmt.Errorf("local address %v is of another family", local)
	}
	return nil
}

// validateTimes checks n's durations; zeros stand for defaults.
func (n Neighbor) validateTimes() error {
	hold, retry := n.HoldTime, n.ConnectRetry
	switch most := n.withDefaults().HoldTime / 3; {
	case hold != 0 && !isSeconds(hold, minHoldTime, maxHoldTime):
		return fmt.Errorf("hold time %v is not whole seconds from %v to %v", hold, minHoldTime, maxHoldTime)
	case n.Keepalive != 0 && !isSeconds(n.Keepalive, time.Second, most):
		return fmt.Errorf("keepalive time %v is not whole seconds from 1s to a third of the hold time, %v", n.Keepalive, most)
	case retry != 0 && (retry < minConnectRetry || retry > maxConnectRetry):
		return fmt.Errorf("connect retry %v is not %v to %v", retry, minConnectRetry, maxConnectRetry)
	case !isSeconds(n.GracefulRestart, 0, maxRestartTime):
		return fmt.Errorf("graceful restart %v is not whole seconds from 0s to %v", n.GracefulRestart, maxRestartTime)
	}
	return nil
}

// isSeconds reports whether d is whole seconds from least to most.
func isSeconds(d, least, most time.Duration) bool {
	return d >= least && d <= most && d%time.Second == 0
}
