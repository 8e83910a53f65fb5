package bgp

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"time"

	gobgpapi "github.com/osrg/gobgp/v3/api"
)

// feed is what GoBGP shall tell one neighbor, and at which rate it shall send
// keepalives. GoBGP takes our end of a loopback connection for that neighbor.
type feed struct {
	open      open       // what GoBGP hears for the neighbor's OPEN
	local     netip.Addr // next hop of the routes that name none
	families  Families   // agreed on
	keepalive time.Duration
	restart   time.Duration // 0: no graceful restart
}

// attach makes GoBGP serve f. The caller must close what it returns.
func (e *engine) attach(ctx context.Context, f feed) (*tap, error) {
	var err error
	for range attachTries {
		var t *tap
		if t, err = e.try(ctx, f); err == nil {
			return t, nil
		}
	}
	return nil, fmt.Errorf("gobgp takes no session: %w", err)
}

// try is attach, once. GoBGP drops a connection that comes before it has begun
// to wait for one.
func (e *engine) try(ctx context.Context, f feed) (*tap, error) {
	// A new address each time, so that no other user of this host can know by
	// which one GoBGP is about to take a connection.
	t := &tap{engine: e, key: randomLoopback().String()}
	if e.feeds.Add(1)%forgetAfter == 0 {
		if err := e.forget(ctx); err != nil {
			return nil, err
		}
	}
	// Not given up with ctx: GoBGP would add it all the same, for ever.
	err := do(context.WithoutCancel(ctx), func() error {
		return e.server.AddPeer(context.Background(), &gobgpapi.AddPeerRequest{Peer: f.peer(t.key)})
	})
	if err != nil {
		return nil, err
	}
	err = t.open(ctx, f.open)
	if err == nil {
		err = t.settle(ctx)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// randomLoopback is some address of 127.0.0.0/8 other than 127.0.0.x.
func randomLoopback() netip.Addr {
	a := [4]byte{127}
	for a[1] == 0 {
		rand.Read(a[1:])
	}
	return netip.AddrFrom4(a)
}

// peer is f in GoBGP's terms, with key as the neighbor's address. GoBGP never
// expires it: to judge the neighbor's silence is ours.
func (f feed) peer(key string) *gobgpapi.Peer {
	p := &gobgpapi.Peer{
		Conf: &gobgpapi.PeerConf{
			NeighborAddress: key, PeerAsn: f.open.ASN,
			// Else GoBGP would tell an internal neighbor neither of prepends nor
			// that a route which had some is gone.
			AllowAspathLoopLocal: true,
		},
		Timers: &gobgpapi.Timers{Config: &gobgpapi.TimersConfig{
			HoldTime:          uint64(maxHoldTime / time.Second),
			KeepaliveInterval: uint64(f.keepalive / time.Second),
		}},
		// Bound to an interface, GoBGP does not compare the local address, which
		// it puts in as next hop, with that of its connection.
		Transport: &gobgpapi.Transport{PassiveMode: true, LocalAddress: f.local.WithZone("").String(), BindInterface: "lo"},
	}
	if f.restart > 0 {
		p.GracefulRestart = &gobgpapi.GracefulRestart{Enabled: true, RestartTime: uint32(f.restart / time.Second)}
	}
	for _, one := range f.families.each() {
		p.AfiSafis = append(p.AfiSafis, &gobgpapi.AfiSafi{
			Config:            &gobgpapi.AfiSafiConfig{Family: unicast(gobgpapi.Family_Afi(one.afi())), Enabled: true},
			MpGracefulRestart: &gobgpapi.MpGracefulRestart{Config: &gobgpapi.MpGracefulRestartConfig{Enabled: f.restart > 0}},
		})
	}
	return p
}

// unicast is SAFI 1 of afi (RFC 4760 section 6).
func unicast(afi gobgpapi.Family_Afi) *gobgpapi.Family {
	return &gobgpapi.Family{Afi: afi, Safi: gobgpapi.Family_SAFI_UNICAST}
}
