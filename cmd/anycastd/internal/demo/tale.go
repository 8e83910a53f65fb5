package demo

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/anycastd/anycastd/test/lab"
)

// tale is the story that the demo tells.
type tale struct {
	*stage
	*network
	verbose           bool
	atRouter, atFront *witness
	logged            int          // octets of the daemon's log that have been told
	chosen, other     *gatewayHost // where the IPv4 client is sent first, and the other
}

// step is one chapter: what happens, and why it does.
type step struct {
	title, why string
	play       func(*tale)
}

// steps are the chapters in their order.
func steps() []step {
	return []step{
		{"Before: nobody serves the anycast address",
			"An anycast address belongs to no host: packets go to whoever announces it, if anybody does.", (*tale).before},
		{"The daemon starts on host front: first it can answer, then it says so",
			"Who is led here must find somebody who answers. So the announcement comes last.", (*tale).start},
		{"The router has learned the way",
			"By BGP, neighbors tell each other which addresses are reached through them.", (*tale).learned},
		{"The name is in the DNS",
			"Clients know a name only. The daemon puts it there by updates that bear its signature.", (*tale).named},
		{"A client finds the service and is sent to a gateway",
			"The answer to its very first packet is a REDIRECT (RFC 5685). Nothing about it is kept.", (*tale).redirected},
		{"The client goes there, and says who sent it",
			"From here on anycastd has no part in it: this is between the client and the gateway.", (*tale).follows},
		{"That gateway dies: newcomers are sent to the other",
			"The daemon asks each gateway five times a second whether it lives. Five silences mean no.", (*tale).gatewayDies},
		{"The daemon explains itself",
			"What it shows is what it decides by, so it is never a guess.", (*tale).explains},
		{"The gateway comes back: its clients are sent there again",
			"The client's address decides among the living, so each has its place, on every front-end.", (*tale).gatewayReturns},
		{"The daemon is asked to stop (SIGTERM): the routes go first",
			"The fabric is asked to turn elsewhere, and whoever still comes is served until it has.", (*tale).stops},
		{"It starts again, and is killed without warning (SIGKILL)",
			"The kernel closes the connections of the dead, so the router hears of it by itself.", (*tale).crashes},
		{"It starts once more, and takes over what the dead one left",
			"Each start compares what is with what must be, and does the difference.", (*tale).repairs},
	}
}

// opening shows the stage.
const opening = `anycastd demo: one address in front of several VPN gateways

  client 192.0.2.200 ───┐          ┌─── front 192.0.2.10   runs anycastd, which will answer
                        ├─ router ─┤                       at the anycast address 203.0.113.1
  dns    192.0.2.53  ───┘          ├─── gw1 198.51.100.11
                                   └─── gw2 198.51.100.22

Each host is a network namespace; this machine's own network is not touched. All of them
have IPv6 as well. The router (an embedded GoBGP) and the name server (an embedded
miekg/dns) are real servers. gw1 and gw2 are stand-ins: they answer as a VPN gateway
does when it is asked whether it lives, but they build no tunnels.
`

// tell plays all steps.
func (t *tale) tell(program string) {
	t.say("%s", opening)
	t.network = newNetwork(lab.New(t.stage), program)
	t.Cleanup(t.endDaemon)
	t.atRouter, t.atFront = t.newWitness(t.router), t.newWitness(t.front)
	for i, s := range steps() {
		t.say("%2d  %s\n    %s", i+1, s.title, s.why)
		s.play(t)
		t.tellLog()
		t.say("")
	}
}

// endDaemon ends a daemon that an interrupted play has left: its own way out,
// with the pauses, takes longer than the interrupter wants to wait.
func (t *tale) endDaemon() {
	if t.daemon != nil && t.ctx.Err() != nil {
		t.daemon.Kill()
	}
}

// tellEnd tells how it ended, when all is cleaned up.
func (t *tale) tellEnd() {
	if t.network != nil {
		if _, err := os.Stat(t.lab.Dir()); errors.Is(err, os.ErrNotExist) {
			t.say("Namespaces, processes and files of the demo are removed.")
		}
	}
	if !t.failed && t.ctx.Err() == nil {
		t.say("All %d steps were observed, in %s.", len(steps()), brief(time.Since(t.begun)))
	}
}

// tellLog prints what the daemon has logged since the last time, if it is wanted.
func (t *tale) tellLog() {
	if !t.verbose || t.daemon == nil {
		return
	}
	log := t.daemon.Output()
	if new := log[min(t.logged, len(log)):]; new != "" {
		t.Logf("%s", new)
	}
	t.logged = len(log)
}

// newWitness looks at a host until the play's end.
func (t *tale) newWitness(h *lab.Host) *witness {
	w, err := newWitness(h)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(w.close)
	return w
}

// launch starts the daemon.
func (t *tale) launch() {
	t.startDaemon()
	t.logged = 0
}

// says waits until p says text, and tells the last line that has it.
func (t *tale) says(p *lab.Process, text string) {
	t.await(p.Name+" says "+text, func() error {
		lines := p.Lines(text)
		if len(lines) == 0 {
			return fmt.Errorf("it said last: %s", lastLine(p.Output()))
		}
		host, _, _ := strings.Cut(p.Name, "/")
		t.seen("%s: %s", host, lines[len(lines)-1])
		return nil
	})
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return lines[len(lines)-1]
}
