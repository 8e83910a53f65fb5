package demo

import (
	"fmt"
	"strings"
	"time"
)

// gatewayDies kills the gateway of the client.
func (t *tale) gatewayDies() {
	died := time.Now()
	t.chosen.Kill()
	t.seen("%s is killed", t.chosen.name)
	t.awaitTurn(died, t.other)
}

// gatewayReturns starts that gateway again.
func (t *tale) gatewayReturns() {
	back := time.Now()
	t.runGateway(t.chosen)
	t.seen("%s runs again", t.chosen.name)
	t.awaitTurn(back, t.chosen)
}

// awaitTurn waits until the client is sent to g.
func (t *tale) awaitTurn(since time.Time, g *gatewayHost) {
	t.await("the client is sent to "+g.name, func() error {
		to, a, err := t.redirect(anycast4)
		if err == nil && to != g {
			err = fmt.Errorf("it is still sent to %s", to.name)
		}
		if err == nil {
			t.seen("after %s the client is sent to %s: %v", brief(time.Since(since)), g.name, a)
		}
		return err
	})
}

// explains shows what the daemon says of itself while a gateway is dead.
func (t *tale) explains() {
	var status string
	t.await(t.chosen.name+" is not usable by any family", func() error {
		status = t.ask("status")
		if !strings.HasPrefix(strings.TrimLeft(row(status, t.chosen.name), " "), "no ") {
			return fmt.Errorf("status says:\n%s", status)
		}
		return nil
	})
	t.seen("anycastd status, in part:")
	t.quote(section(status, "") + "\n" + section(status, "GATEWAYS"))
	t.seen("anycastd explain %s:", client4)
	t.quote(t.ask("explain", client4))
}

// ask runs a verb on the daemon's host, and ends the play if that does not work.
func (t *tale) ask(words ...string) string {
	out, err := t.verb(t.front, words...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// section returns the part of a status under a title, up to the next blank
// line; "" is the first.
func section(status, title string) string {
	for part := range strings.SplitSeq(status, "\n\n") {
		if strings.HasPrefix(part, title) {
			return part
		}
	}
	return ""
}

// row returns what a table of a status says of name.
func row(status, name string) string {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return rest
		}
	}
	return ""
}
