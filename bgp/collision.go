package bgp

import (
	"errors"
	"net/netip"
	"time"
)

// collided ends the connection that is not kept of two with one neighbor
// (RFC 4271 section 6.8).
var errCollided = &refusal{code: ceaseError, subcode: collision, reason: "one connection is enough"}

// isCollision reports whether a connection has ended for another one's sake.
func isCollision(cause error) bool {
	var refused *refusal
	var said told
	return errors.As(cause, &refused) && refused.code == ceaseError && refused.subcode == collision ||
		errors.As(cause, &said) && said.Code == ceaseError && said.Subcode == collision
}

// confirm makes c, on which the neighbor has said o, the one connection with
// it, or returns why it is not.
func (g *guard) confirm(c *connection, o open) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	other := *g.slot(!c.dialed)
	if other != nil && other.stage != openSent {
		if other.stage == established || c.dialed != g.keepsDialed(o.RouterID) {
			return errCollided
		}
		other.cancel(errCollided)
	}
	c.stage, c.open = openConfirm, o
	g.show(idle)
	return nil
}

// keepsDialed reports whether, of two connections, the one that we have dialed
// is kept: that of the speaker with the higher BGP Identifier, or with equal
// ones the higher AS (RFC 6286 section 2.3).
func (g *guard) keepsDialed(theirs netip.Addr) bool {
	ours := g.speaker.cfg.RouterID
	if ours == theirs {
		return g.speaker.cfg.ASN > g.ASN
	}
	return theirs.Less(ours)
}

// establish notes that c is up, or returns an error if it must end, as for the
// other one's sake. One that is still waiting for the neighbor's OPEN would be
// too late.
func (g *guard) establish(c *connection) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if other := *g.slot(!c.dialed); other != nil {
		other.cancel(errCollided)
	}
	c.stage, c.up = established, time.Now()
	g.show(idle)
	return nil
}
