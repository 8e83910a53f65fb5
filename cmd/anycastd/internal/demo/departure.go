package demo

import (
	"time"

	"golang.org/x/sys/unix"
)

// gone says whether the router has neither route.
func (t *tale) gone() bool { return !t.atRouter.routed(prefix4) && !t.atRouter.routed(prefix6) }

// stops asks the daemon to stop and watches it go.
func (t *tale) stops() {
	told := time.Now()
	t.daemon.Signal(unix.SIGTERM)
	t.watch(told,
		&event{what: "the routes are still there, but marked as about to go away (community 65535:0)",
			happened: func() bool { return len(t.fabric.Lines("about to go away")) >= 2 && t.routed() }},
		&event{what: "the routes are withdrawn, and the router uses them no more", happened: t.gone},
		&event{what: "what still arrives then is answered all the same", happened: func() bool { return t.gone() && t.answersItself() }},
		&event{what: "its socket is closed", happened: func() bool { return !t.atFront.listens(anycast4 + ":500") }},
		&event{what: anycast4 + " is taken off the host", happened: func() bool { return !t.atFront.owns(anycast4) }},
		&event{what: "it has ended", happened: func() bool { return !t.daemon.Running() }},
	)
	if code := t.daemon.Wait(patience); code != 0 {
		t.Fatalf("the daemon ended with exit code %d", code)
	}
	t.seen("with exit code 0; drain_wait and settle, the two pauses, are 2 s each here")
}

// crashes kills the daemon.
func (t *tale) crashes() {
	t.comeUp()
	died := time.Now()
	t.daemon.Kill()
	t.watch(died, &event{what: "the routes are gone from the router", happened: t.gone})
	if took := time.Since(died); took >= holdTime {
		t.Fatalf("that took %s: the router has waited for the hold time instead", brief(took))
	}
	if !t.atFront.owns(anycast4) {
		t.Fatalf("%s is gone from the host, though nobody was there to take it off", anycast4)
	}
	t.seen("%s is still on the host: nobody was there to take it off", anycast4)
}

// comeUp starts the daemon and waits until the client is served.
func (t *tale) comeUp() {
	begun := time.Now()
	t.launch()
	t.watch(begun, &event{what: "the router has the routes", happened: t.routed})
}

// repairs starts the daemon again.
func (t *tale) repairs() {
	t.comeUp()
	t.seen("anycastd status, in part:")
	t.quote(section(t.ask("status"), "ADDRESSES"))
	t.sent(anycast4)
	t.sent(anycast6)
	if code := t.daemon.Stop(); code != 0 {
		t.Fatalf("the daemon ended with exit code %d", code)
	}
	if t.atFront.owns(anycast4) || t.atFront.owns(anycast6) || !t.gone() {
		t.Fatalf("the daemon has ended, and left an address or a route behind")
	}
	t.seen("told to stop, it leaves neither an address nor a route behind")
}
