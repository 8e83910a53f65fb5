// Package demo is `anycastd demo`: the real daemon in network namespaces of its
// own, amid a fabric that is embedded here, and the story of what happens there.
// It never touches the machine's network, and tells nothing it has not seen.
package demo

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
)

// Config is what a demo is made of.
type Config struct {
	Program string    // path of the anycastd binary that plays all the parts
	Out     io.Writer // where the story is told
	Verbose bool      // print the daemon's own log as well
}

// Play plays the demo and tells it, as a story for people who have not seen
// anycastd before. It takes some 20 seconds, needs what lab.Available asks
// for, and removes what it made. The error says that a step was not observed,
// after Out has been told which and why, or that ctx ended.
func Play(ctx context.Context, cfg Config) error {
	s := newStage(ctx, cfg.Out)
	t := &tale{stage: s, verbose: cfg.Verbose}
	s.perform(func() { t.tell(cfg.Program) })
	t.tellEnd()
	switch {
	case s.failed:
		return errors.New("a step of the demo was not observed")
	case ctx.Err() != nil:
		return errors.New("the demo was interrupted")
	}
	return nil
}

// Lookup returns the addresses that the host's name servers give for a name,
// sorted.
func Lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	resolver := net.Resolver{PreferGo: true} // reads resolv.conf, and no other service
	addrs, err := resolver.LookupNetIP(ctx, "ip", name)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs, err
}
