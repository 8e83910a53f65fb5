package bgp

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
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

// tap is where GoBGP's messages for one neighbor come out.
type tap struct {
	net.Conn
	engine *engine
	key    string // GoBGP's name of the neighbor
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

// settle waits until GoBGP takes the session for established. Deleted before, it
// leaves a goroutine behind, with the keepalive that it had not come to yet.
func (t *tap) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	for {
		state, err := call(ctx, func() (state gobgpapi.PeerState_SessionState, err error) {
			err = t.engine.server.ListPeer(context.Background(), &gobgpapi.ListPeerRequest{Address: t.key},
				func(p *gobgpapi.Peer) { state = p.State.SessionState })
			return state, err
		})
		if err != nil || state == gobgpapi.PeerState_ESTABLISHED {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// randomLoopback is some address of 127.0.0.0/8 other than 127.0.0.x.
func randomLoopback() netip.Addr {
	a := [4]byte{127}
	for a[1] == 0 {
		rand.Read(a[1:])
	}
	return netip.AddrFrom4(a)
}

// open connects to GoBGP and exchanges OPENs; GoBGP's own nobody needs. It then
// takes the session for established.
func (t *tap) open(ctx context.Context, theirs open) error {
	dialer := net.Dialer{Timeout: callTime, KeepAlive: -1, LocalAddr: &net.TCPAddr{IP: net.ParseIP(t.key)}}
	dialer.SetMultipathTCP(false)
	conn, err := dialer.DialContext(ctx, "tcp4", t.engine.inner.String())
	if err != nil {
		return fmt.Errorf("no connection within 127.0.0.0/8: lo must be up and no firewall in between: %w", err)
	}
	t.Conn = conn
	conn.SetDeadline(time.Now().Add(callTime))
	defer conn.SetDeadline(time.Time{})
	var buf [maxLength]byte
	for i, kind := range []byte{openKind, keepaliveKind} {
		m, err := readMessage(conn, &buf)
		if err != nil {
			return err
		}
		if m.kind() != kind {
			return fmt.Errorf("its message is of type %d, not %d", m.kind(), kind)
		}
		if i > 0 {
			break
		}
		if _, err := conn.Write(append(theirs.message(), newMessage(keepaliveKind)...)); err != nil {
			return err
		}
	}
	return nil
}

// Close makes GoBGP forget the neighbor.
func (t *tap) Close() error {
	if t.Conn != nil {
		t.Conn.Close()
	}
	err := do(context.Background(), func() error {
		return t.engine.server.DeletePeer(context.Background(), &gobgpapi.DeletePeerRequest{Address: t.key})
	})
	if err != nil {
		t.engine.log.Warn().Err(err).Str("feed", t.key).Msg("gobgp keeps a session that has ended")
	}
	return err
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
