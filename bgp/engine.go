package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	gobgpapi "github.com/osrg/gobgp/v3/api"
	gobgp "github.com/osrg/gobgp/v3/pkg/server"
	"github.com/rs/zerolog"
)

const (
	callTime    = 5 * time.Second // for one answer of GoBGP; it normally takes less than a millisecond
	portTries   = 10              // for a port of our own on loopback
	attachTries = 3               // for a feed; one connection in thousands comes too early for GoBGP
	forgetAfter = 1000            // feeds; GoBGP keeps about 100 octets of each
)

// loopback is where GoBGP listens for our feeds.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// engine is the embedded GoBGP. It keeps our RIB and makes the UPDATEs of it,
// for one feed per session that is up. Of a neighbor it sees what we have made
// of its OPEN, and no octet of its own.
type engine struct {
	log    zerolog.Logger
	server *gobgp.BgpServer
	inner  netip.AddrPort // where it listens
	feeds  atomic.Uint64  // made so far
	fatal  chan error     // its first Panic or Fatal
}

func newEngine(log zerolog.Logger) *engine {
	e := &engine{log: log, fatal: make(chan error, 1)}
	e.server = gobgp.NewBgpServer(gobgp.LoggerOption(logger{log: log, fatal: e.fatal}))
	return e
}

// start starts GoBGP, on a port of loopback that is free.
func (e *engine) start(ctx context.Context, asn uint32, routerID netip.Addr) error {
	go e.server.Serve() // never returns
	var err error
	for range portTries {
		if e.inner, err = freePort(); err != nil {
			return err
		}
		global := &gobgpapi.Global{Asn: asn, RouterId: routerID.String(),
			ListenPort: int32(e.inner.Port()), ListenAddresses: []string{e.inner.Addr().String()}}
		err = do(ctx, func() error {
			return e.server.StartBgp(context.Background(), &gobgpapi.StartBgpRequest{Global: global})
		})
		if !errors.Is(err, syscall.EADDRINUSE) { // taken by somebody else meanwhile
			return err
		}
	}
	return err
}

// freePort is a port of loopback that nobody listens on.
func freePort() (netip.AddrPort, error) {
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort(), nil
}

// forget makes GoBGP drop the policies of the neighbors that it has no more,
// which it never does by itself. We set none.
func (e *engine) forget(ctx context.Context) error {
	return do(ctx, func() error {
		return e.server.SetPolicies(context.Background(), &gobgpapi.SetPoliciesRequest{})
	})
}

// stop ends GoBGP, without any feed left.
func (e *engine) stop() {
	err := do(context.Background(), func() error {
		return e.server.StopBgp(context.Background(), &gobgpapi.StopBgpRequest{})
	})
	if err != nil {
		e.log.Warn().Err(err).Msg("bgp did not stop")
	}
}

// call runs f, a call of GoBGP's API, for at most callTime. GoBGP ignores the
// context of a call and may never answer; f is then left behind with what it
// returns. Calls are served in their order, so it cannot overtake a later one.
func call[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := f()
		answers <- answer{value, err}
	}()
	var none T
	timer := time.NewTimer(callTime)
	defer timer.Stop()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-timer.C:
		return none, fmt.Errorf("gobgp did not answer within %v", callTime)
	}
}

// do is call for what returns an error only.
func do(ctx context.Context, f func() error) error {
	_, err := call(ctx, func() (struct{}, error) { return struct{}{}, f() })
	return err
}
