package bgp

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	"github.com/rs/zerolog"
)

// desk is a logger over a book with one session, and what comes out of both.
type desk struct {
	logger
	out   *logBuffer
	fatal chan error
	seen  peerLog
}

func newDesk() *desk {
	d := &desk{out: new(logBuffer), fatal: make(chan error, 1)}
	log := zerolog.New(d.out).Level(zerolog.InfoLevel)
	b := newBook(log, time.Now)
	b.add(session{Neighbor: Neighbor{Address: their4, ASN: 65002}, ipv4: true})
	d.logger = logger{log: log, book: b, fatal: d.fatal}
	return d
}

// state says what GoBGP says at a change of state.
func (d *desk) state(new, reason string) {
	d.Debug("state changed", gobgplog.Fields{"Key": their4.String(), "new": "BGP_FSM_" + new, "reason": reason})
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

func refused() gobgplog.Fields {
	return gobgplog.Fields{"Key": their4.String(), "Error": error(syscall.ECONNREFUSED)}
}

func TestLoggerTellsEachReasonOnce(t *testing.T) {
	d := newDesk()
	for range 3 {
		d.state("ACTIVE", "idle-hold-timer-expired")
		d.Debug("failed to connect", refused())
	}
	d.state("OPENSENT", "new-connection")
	d.state("IDLE", "read-failed")
	d.state("ACTIVE", "idle-hold-timer-expired")
	d.state("OPENSENT", "new-connection")
	d.state("OPENCONFIRM", "open-msg-received")
	d.state("ESTABLISHED", "open-msg-negotiated")
	d.Warn("received notification", gobgplog.Fields{"Key": their4.String(), "Code": uint8(6), "Subcode": uint8(2), "Communicated-Reason": "bye"})
	d.state("IDLE", "notification-received code 6")
	d.state("ACTIVE", "idle-hold-timer-expired")
	d.Debug("failed to connect", refused())
	want := []string{
		`"reason":"connection refused","message":"session does not come up"`,
		`"reason":"connection closed by the neighbor","message":"session does not come up"`,
		`"message":"session up"`,
		`"reason":"neighbor sent Cease, Administrative Shutdown: \"bye\"","message":"session down"`,
		`"reason":"connection refused","message":"session does not come up"`,
	}
	if diff := cmp.Diff(want, d.lines()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestBookNotifiesEachChange(t *testing.T) {
	d := newDesk()
	d.book.announce(2, 1)
	d.state("ACTIVE", "")
	d.Debug("failed to connect", refused())
	d.Debug("failed to connect", refused())
	d.state("ESTABLISHED", "")
	d.state("IDLE", "write-failed")
	d.book.deliver(d.seen.add)
	p := func(state, lastError string, announced int) Peer {
		return Peer{Address: their4, ASN: 65002, State: state, LastError: lastError, Announced: announced}
	}
	want := []Peer{
		p("Idle", "", 0),
		p("Active", "", 0),
		p("Active", "connection refused", 0),
		p("Established", "connection refused", 2),
		p("Idle", "connection lost while sending", 0),
	}
	opts := cmp.Options{cmpopts.IgnoreFields(Peer{}, "Since"), cmpopts.EquateComparable(their4)}
	if diff := cmp.Diff(want, d.seen.all, opts); diff != "" {
		t.Errorf("notified (-want +got):\n%s", diff)
	}
}

func TestPeersShowAChangeWhenItIsNotified(t *testing.T) {
	d := newDesk()
	for _, tc := range []struct {
		state string
		up    bool
	}{{"IDLE", false}, {"ACTIVE", false}, {"ESTABLISHED", true}, {"IDLE", false}} {
		d.state(tc.state, "")
		d.book.deliver(func(p Peer) {
			if diff := cmp.Diff([]Peer{p}, d.book.peers(), cmpopts.EquateComparable(their4)); diff != "" || p.Up() != tc.up {
				t.Errorf("%s: want up %v, got %v; peers (-notified +got):\n%s", tc.state, tc.up, p.Up(), diff)
			}
		})
	}
}

func TestASessionTriedOnceMoreKeepsItsError(t *testing.T) {
	d := newDesk()
	again := d.book.entries[their4.String()].session
	for range 2 {
		d.book.add(again)
		d.state("ACTIVE", "")
		d.book.refuse(their4.String(), "no password")
		d.book.fail(their4.String(), "no password")
		d.state("ACTIVE", "") // GoBGP is late
		d.Debug("failed to connect", refused())
	}
	if p := d.book.peers()[0]; p.State != idle || p.LastError != "no password" || len(d.lines()) != 1 {
		t.Errorf("want it idle, the error kept and one line, got %v and %v", p, d.lines())
	}
	d.book.add(again)
	if got := d.book.unsigned(their4.String()); got != "" {
		t.Errorf("want the listener's refusal forgotten, got %q", got)
	}
}

func TestLoggerIgnoresSessionsThatAreGone(t *testing.T) {
	d := newDesk()
	d.book.retain(nil)
	d.state("ESTABLISHED", "")
	d.Debug("failed to connect", refused())
	if got := d.book.peers(); len(got) != 0 || d.out.String() != "" {
		t.Errorf("want nothing, got %v and %s", got, d.out)
	}
}

func TestLoggerNeverEndsTheProcess(t *testing.T) {
	d := newDesk()
	d.Panic("code logic bug", gobgplog.Fields{"Topic": "Peer"})
	d.Fatal("path's nlri is nil", nil)
	if err := <-d.fatal; err.Error() != "gobgp: code logic bug" {
		t.Errorf("want the first bug, got %v", err)
	}
	if got := strings.Count(d.out.String(), `"level":"error"`); got != 2 {
		t.Errorf("want 2 error lines, got:\n%s", d.out)
	}
}

func TestLoggerMapsLevels(t *testing.T) {
	for name, tc := range map[string]struct {
		say  func(logger)
		want string
	}{
		"error":        {func(l logger) { l.Error("x", nil) }, "error"},
		"warn":         {func(l logger) { l.Warn("x", nil) }, "warn"},
		"info":         {func(l logger) { l.Info("x", nil) }, "debug"},
		"debug":        {func(l logger) { l.Debug("x", nil) }, "trace"},
		"notification": {func(l logger) { l.Warn("sent notification", nil) }, "debug"},
		"failed md5":   {func(l logger) { l.Warn("failed to set md5", gobgplog.Fields{"Err": errors.New("no")}) }, "debug"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk()
			d.log = zerolog.New(d.out)
			tc.say(d.logger)
			if got := d.out.String(); !strings.HasPrefix(got, `{"level":"`+tc.want+`"`) {
				t.Errorf("want level %s, got %s", tc.want, got)
			}
		})
	}
}
