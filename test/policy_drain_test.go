package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// drainWorld is the fabric with strongSwan gateways and a crowd.
func drainWorld(t *testing.T) (*fabric, *crowd) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl"))
	f.startGateways()
	return f, f.newCrowd(t)
}

// mustDo runs a verb, and returns when it had been done.
func (a *anycastd) mustDo(verb ...string) time.Time {
	a.host.Run(append([]string{program(), "-C", a.config}, verb...)...)
	return time.Now()
}

// mustFail runs a verb that must end with this exit code and say this.
func (a *anycastd) mustFail(t *testing.T, code int, says string, verb ...string) {
	t.Helper()
	out, err := a.try(verb...)
	var exit interface{ ExitCode() int }
	if !errors.As(err, &exit) || exit.ExitCode() != code || !strings.Contains(out, says) {
		t.Errorf("%v: want exit code %d and %q, got %v\n%s", verb, code, says, err, out)
	}
}

// TestADrainedGatewayGetsNobodyFromTheMomentDrainReturns: also not while the
// daemon is killed and started again, and until undrain or its time is over.
func TestADrainedGatewayGetsNobodyFromTheMomentDrainReturns(t *testing.T) {
	f, crowd := drainWorld(t)
	daemon := f.daemon(t, f.config())
	daemon.awaitState("in service")
	stop := crowd.stream(200)
	defer stop()
	crowd.awaitVisit("gw1", time.Time{})
	drained := daemon.mustDo("drain", "gw1", "--reason", "new disks")
	crowd.awaitVisit("gw2", drained)
	daemon.Kill()
	daemon = f.daemon(t, f.config())
	restarted := time.Now()
	daemon.awaitState("in service")
	if out, err := daemon.try("gateways"); err != nil || !strings.Contains(out, "drained: new disks") {
		t.Errorf("gateways doesn't tell why: %v\n%s", err, out)
	}
	crowd.awaitVisit("gw2", restarted)
	undrained := time.Now()
	daemon.mustDo("undrain", "gw1")
	crowd.awaitVisit("gw1", undrained)
	crowd.mustNotSend("gw1", drained, undrained)

	begin := time.Now()
	drained = daemon.mustDo("drain", "gw1", "--for", "3s")
	crowd.awaitVisit("gw2", drained)
	daemon.Kill()
	daemon = f.daemon(t, f.config())
	crowd.awaitVisit("gw1", drained)
	crowd.mustNotSend("gw1", drained, begin.Add(3*time.Second))
	if len(daemon.Lines("the gateway's drain is over")) == 0 {
		t.Error("no log line tells that the drain is over")
	}
	daemon.mustFail(t, 1, `there is no gateway "gw9": the gateways are gw1, gw2`, "drain", "gw9")
	daemon.mustFail(t, 1, "gateway gw1 is not drained", "undrain", "gw1")
	daemon.mustFail(t, 1, "this node is not drained", "undrain")
	daemon.mustFail(t, 2, "hint:", "drain", "gw1", "gw2")
	daemon.mustFail(t, 2, "empty", "drain", "")
	daemon.mustFail(t, 2, "lasts longer", "drain", "gw1", "--for", "-1s")
	daemon.Kill()
	daemon.mustFail(t, 3, "no daemon answers", "drain", "gw1")
}

// slowFabric gives the router routes to the front-end that count only while BGP
// has none: what a part of the fabric still has that has not heard yet.
func (f *fabric) slowFabric() {
	f.router.Route(prefix4 + " via " + front4 + " metric 4000")
	f.router.Route(prefix6 + " via " + front6 + " metric 4000")
}

// awaitBIRD waits until BIRD's routes for both prefixes all contain text, or
// are gone if it is "".
func (f *fabric) awaitBIRD(what, text string) {
	f.Eventually("BIRD sees "+what, patience, func() error {
		out := f.bird.ask("show route all")
		for _, prefix := range []string{prefix4, prefix6} {
			_, route, found := strings.Cut(out, prefix+" ")
			route, _, _ = strings.Cut(route, "\n203.0.113") // up to the next
			route, _, _ = strings.Cut(route, "\nTable")
			if found != (text != "") || !strings.Contains(route, text) {
				return errors.New(out)
			}
		}
		return nil
	})
}

// updates returns how many announcements BIRD has had in the present sessions.
func (f *fabric) updates(t *testing.T) (n int) {
	t.Helper()
	for _, protocol := range []string{"front4", "front6"} {
		for line := range strings.Lines(f.bird.ask("show protocols all " + protocol)) {
			if words := strings.Fields(line); len(words) > 2 && words[0] == "Import" && words[1] == "updates:" {
				received, err := strconv.Atoi(words[2])
				if err != nil {
					t.Fatal(line)
				}
				n += received
			}
		}
	}
	return n
}

// TestADrainedNodeGoesInOrderAndAnswersAllAlong: 65535:0, then the withdrawal;
// a restart announces nothing, undrain all.
func TestADrainedNodeGoesInOrderAndAnswersAllAlong(t *testing.T) {
	f, crowd := drainWorld(t)
	daemon := f.daemon(t, f.config(`drain_wait = "1s"`, `drain_wait = "3s"`))
	daemon.awaitState("in service")
	f.awaitBIRD("both prefixes", "64512")
	f.slowFabric()
	begin := time.Now()
	stop := crowd.stream(200)
	defer stop()
	daemon.mustDo("drain")
	f.awaitBIRD("65535:0 at both prefixes", "(65535,0)")
	f.awaitBIRD("the withdrawal", "")
	daemon.awaitState("out of service")
	crowd.awaitVisit("gw1", time.Now())
	stop()
	f.Eventually("every request is answered", patience, func() error {
		for _, v := range crowd.since(begin) {
			if v.outcome() != "gw1" && v.outcome() != "gw2" {
				return fmt.Errorf("%v asked %v after the begin: %s", v.client, v.asked.Sub(begin), v.outcome())
			}
		}
		return nil
	})

	daemon.Kill()
	daemon = f.daemon(t, f.config())
	daemon.awaitStatus("would be in service, but for the drain", func(s status) error {
		for _, p := range s.Peers {
			if p.State != "Established" {
				return fmt.Errorf("%+v", p)
			}
		}
		for _, r := range s.Routes {
			if r.State != "withdrawn" || !strings.Contains(r.Reason, "node drained: by an operator") {
				return fmt.Errorf("%+v", r)
			}
		}
		for _, a := range s.Addresses {
			if !a.Answers {
				return fmt.Errorf("%+v", a)
			}
		}
		return nil
	})
	if n := f.updates(t); n != 0 {
		t.Errorf("a drained node has announced %d routes after its restart", n)
	}
	if got := crowd.among(clients(0, 20)); got["gw1"]+got["gw2"] != 40 {
		t.Errorf("it must answer what still arrives, got %v", got)
	}
	daemon.mustDo("undrain")
	f.awaitBIRD("both prefixes again", "64512")
	daemon.awaitState("in service")
}

// TestDrainMarksThatCantBeReadOrKeptAreToldOf: the daemon starts, says so, and
// keeps what it could not read.
func TestDrainMarksThatCantBeReadOrKeptAreToldOf(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate"))
	standIns(t, f)
	file := filepath.Join(f.Dir(), "front", "state", "drain.json")
	for name, bad := range map[string]string{
		"nothing":    "",
		"half of it": `{"gateways": {"gw1": {"Reason": "new di`,
		"other JSON": `["gw1"]`,
		"a number":   `{"gateways": {"gw1": 7}}`,
		"zeros":      strings.Repeat("\x00", 512),
	} {
		t.Log(name)
		f.front.File("state/drain.json", bad)
		daemon := f.daemon(t, f.config())
		daemon.Await("drain marks can't be read")
		daemon.awaitStatus("warns", func(s status) error {
			if !strings.Contains(strings.Join(s.Warnings, "\n"), "drain marks are lost: "+file+": ") || !s.Gateways[0].Usable {
				return fmt.Errorf("%v %+v", s.Warnings, s.Gateways)
			}
			return nil
		})
		aside, _ := filepath.Glob(file + ".bad-*")
		if len(aside) != 1 {
			t.Fatalf("%s: want one file put aside, got %v", name, aside)
		}
		if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != bad {
			t.Errorf("%s: want it kept, got %q, %v", name, kept, err)
		}
		if err := os.Remove(aside[0]); err != nil {
			t.Fatal(err)
		}
		daemon.mustDo("drain", "gw2")
		daemon.Kill()
		daemon = f.daemon(t, f.config())
		daemon.Await("drained by an operator before the start")
		daemon.awaitStatus("has gw2 drained and no warning", func(s status) error {
			if s.Gateways[1].Usable || strings.Contains(strings.Join(s.Warnings, "\n"), "marks") {
				return fmt.Errorf("%v %+v", s.Warnings, s.Gateways)
			}
			return nil
		})
		daemon.Kill()
	}

	daemon := f.daemon(t, f.config())
	daemon.awaitState("in service")
	if err := os.Mkdir(file+".new", 0o755); err != nil {
		t.Fatal(err)
	}
	daemon.mustFail(t, 1, "it is in effect, but a restart will forget it", "drain", "gw1")
	daemon.mustFail(t, 1, "it is in effect, but a restart will forget it", "undrain", "gw2")
	if a, err := daemon.target(client4); err != nil || a.String() != gw24 {
		t.Errorf("want the drain in effect, got %v, %v", a, err)
	}
}
