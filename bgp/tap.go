package bgp

import (
	"context"
	"fmt"
	"net"
	"time"

	gobgpapi "github.com/osrg/gobgp/v3/api"
)

// Between two messages of a kind that GoBGP hears from us: it needs no more,
// and what it makes of more piles up where nobody reads.
const (
	feedTime    = time.Second
	refreshTime = time.Second
)

// tap is where GoBGP's messages for one neighbor come out.
type tap struct {
	net.Conn
	engine *engine
	key    string // GoBGP's name of the neighbor

	wanted         Families  // that the neighbor has asked for, and GoBGP has not heard of
	fed, refreshed time.Time // when GoBGP last heard a message of that kind
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
	deadline := time.Now().Add(callTime)
	if sooner, ok := ctx.Deadline(); ok && sooner.Before(deadline) {
		deadline = sooner
	}
	conn.SetDeadline(deadline)
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

// lives tells GoBGP that the neighbor does, and wants our routes of these
// families once more; no sooner than GoBGP needs to know.
func (t *tap) lives(wanted Families) error {
	t.wanted |= wanted
	now := time.Now()
	if now.Sub(t.fed) >= feedTime {
		t.fed = now
		if err := t.tell(newMessage(keepaliveKind)); err != nil {
			return err
		}
	}
	if t.wanted == 0 || now.Sub(t.refreshed) < refreshTime {
		return nil
	}
	t.refreshed = now
	for _, f := range t.wanted.each() {
		if err := t.tell(refreshMessage(f)); err != nil {
			return err
		}
	}
	t.wanted = 0
	return nil
}

// tell sends m to GoBGP.
func (t *tap) tell(m message) error {
	t.SetWriteDeadline(time.Now().Add(callTime))
	if _, err := t.Write(m); err != nil {
		return refuse(ceaseError, outOfResources, nil, "gobgp takes no more: %v", err)
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
