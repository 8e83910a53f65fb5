package bgp

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/rs/zerolog"
)

func TestACollisionThatEndsASessionIsExplained(t *testing.T) {
	s := startSpeaker(t, rawListen(Config{Neighbors: []Neighbor{rawNeighbor()}}))
	r := dialRaw(t).establish()
	s.up(rawAddr)
	r.say(notificationMessage(ceaseError, collision, nil))
	eventually(t, "the session is down", func() bool { return s.peer(rawAddr).State != established })
	if got, want := s.peer(rawAddr).LastError, "neighbor sent Cease, Connection Collision Resolution"; got != want {
		t.Errorf("want %q, got %q", want, got)
	}
}

func TestPrefixesOfTheLastSessionDoNotCount(t *testing.T) {
	n := rawNeighbor()
	n.MaxPrefixes = 10
	s := startSpeaker(t, rawListen(Config{Neighbors: []Neighbor{n}}))
	r := dialRaw(t).establish()
	r.say(newMessage(updateKind, 0, 0, 0, 20,
		transitive, originAttribute, 1, 0,
		transitive, asPathAttribute, 6, 2, 1, 0, 0, 0xFE, 0x2A,
		transitive, nextHopAttribute, 4, 192, 0, 2, 66,
		24, 198, 51, 100))
	eventually(t, "a prefix is counted", func() bool { return s.peer(rawAddr).Prefixes == 1 })
	r.Close()
	eventually(t, "the session is down", func() bool { return s.peer(rawAddr).State != established })
	dialRaw(t).establish()
	s.up(rawAddr)
	if got := s.peer(rawAddr).Prefixes; got != 0 {
		t.Errorf("want no prefix, which the neighbor has not told, got %d", got)
	}
}

func TestAConnectionThatMustEndIsNotEstablished(t *testing.T) {
	speaker := New(Config{ASN: 65001, RouterID: our4}, zerolog.Nop())
	session := speaker.cfg.sessions([]Neighbor{rawNeighbor()})[rawAddr]
	g := &guard{session: session, speaker: speaker, entry: speaker.book.add(session)}
	g.dialed, g.accepted = newPair(t, g, true), newPair(t, g, false)
	lost, kept := g.dialed, g.accepted
	for _, c := range []*connection{lost, kept} { // the neighbor's identifier is the higher one
		if err := g.confirm(c, rawOpen()); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.establish(lost); err == nil {
		t.Error("want an error")
	}
	if err := g.establish(kept); err != nil {
		t.Errorf("want the other one established, got %v", context.Cause(kept.ctx))
	}
}

// newPair is a connection of g's with nobody in particular.
func newPair(t *testing.T, g *guard, dialed bool) *connection {
	t.Helper()
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return newConnection(t.Context(), conn.(*net.TCPConn), dialed, &g.entry.tally)
}
