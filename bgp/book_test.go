package bgp

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"
)

// desk is a book with one neighbor, and what comes out of it.
type desk struct {
	*book
	*entry
	out  *logBuffer
	seen peerLog
}

func newDesk() *desk {
	d := &desk{out: new(logBuffer)}
	d.book = newBook(zerolog.New(d.out).Level(zerolog.InfoLevel), time.Now)
	d.entry = d.add(session{Neighbor: Neighbor{Address: their4, ASN: 65002}})
	return d
}

// step notes a change of state.
func (d *desk) step(state string) {
	t := terms{}
	if state == established {
		t = terms{local: our4, routerID: their4, families: IPv4Unicast, hold: 9 * time.Second}
	}
	d.book.state(d.entry, state, t)
}

// lines returns the messages and reasons logged so far.
func (d *desk) lines() []string {
	var all []string
	for line := range strings.Lines(d.out.String()) {
		_, rest, _ := strings.Cut(line, `"neighbor":"192.0.2.2",`)
		all = append(all, strings.TrimSuffix(strings.TrimSpace(rest), "}"))
	}
	return all
}

func TestBookTellsEachReasonOnce(t *testing.T) {
	d := newDesk()
	for range 3 {
		d.step(connect)
		d.problem(d.entry, "connection refused")
		d.step(active)
	}
	d.step(openSent)
	d.problem(d.entry, "connection closed by the neighbor")
	d.problem(d.entry, "connection refused") // they take turns
	d.problem(d.entry, "connection closed by the neighbor")
	d.step(idle)
	d.step(openSent)
	d.step(established)
	d.problem(d.entry, "neighbor sent Cease")
	d.step(idle)
	d.step(active)
	d.problem(d.entry, "connection refused")
	want := []string{
		`"reason":"connection refused","message":"session does not come up"`,
		`"reason":"connection closed by the neighbor (before that: connection refused)","message":"session does not come up"`,
		`"local":"192.0.2.1","hold":"9s","message":"session up"`,
		`"reason":"neighbor sent Cease","message":"session down"`,
		`"reason":"connection refused","message":"session does not come up"`,
	}
	if diff := cmp.Diff(want, d.lines()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestBookNotifiesEachChange(t *testing.T) {
	d := newDesk()
	d.announce(2, 1)
	d.step(active)
	d.problem(d.entry, "connection refused")
	d.problem(d.entry, "connection refused")
	d.step(established)
	d.problem(d.entry, "connection lost")
	d.step(idle)
	d.deliver(d.seen.add)
	p := func(state, lastError string) Peer {
		p := Peer{Address: their4, ASN: 65002, State: state, LastError: lastError}
		if state == established {
			p.Announced, p.LocalAddress, p.RouterID, p.Families, p.HoldTime = 2, our4, their4, IPv4Unicast, 9*time.Second
		}
		return p
	}
	want := []Peer{
		p(idle, ""),
		p(active, ""),
		p(active, "connection refused"),
		p(established, "connection refused"),
		p(established, "connection lost"),
		p(idle, "connection lost"),
	}
	opts := cmp.Options{cmpopts.IgnoreFields(Peer{}, "Since", "LastErrorAt", "Established"), cmpopts.EquateComparable(their4)}
	if diff := cmp.Diff(want, d.seen.all, opts); diff != "" {
		t.Errorf("notified (-want +got):\n%s", diff)
	}
	if got := d.peers()[0]; got.Established != 1 || got.LastErrorAt.IsZero() {
		t.Errorf("want 1 session and the time of the error, got %+v", got)
	}
}

func TestPeersShowAChangeWhenItIsNotified(t *testing.T) {
	d := newDesk()
	for _, tc := range []struct {
		state string
		up    bool
	}{{idle, false}, {active, false}, {established, true}, {idle, false}} {
		d.step(tc.state)
		d.deliver(func(p Peer) {
			if diff := cmp.Diff([]Peer{p}, d.peers(), cmpopts.EquateComparable(their4)); diff != "" || p.Up() != tc.up {
				t.Errorf("%s: want up %v, got %v; peers (-notified +got):\n%s", tc.state, tc.up, p.Up(), diff)
			}
		})
	}
}

func TestANeighborTriedOnceMoreKeepsItsError(t *testing.T) {
	d := newDesk()
	for range 3 {
		d.fail(d.entry.session, "no password")
	}
	if p := d.peers()[0]; p.State != idle || p.LastError != "no password" || len(d.lines()) != 1 {
		t.Errorf("want it idle, the error kept and one line, got %v and %v", p, d.lines())
	}
	if d.add(d.entry.session) != d.entry {
		t.Error("want the same entry, in use again")
	}
}
