package bgp

import (
	"context"
	"errors"
	"net/netip"
	"os"
)

// converse exchanges OPENs and keepalives with the neighbor (RFC 4271 section
// 8.2.2), then relays. It returns why c must end.
func (g *guard) converse(c *connection) error {
	cfg, openTime := g.speaker.cfg, min(max(g.HoldTime, minOpenTime), maxOpenTime)
	if err := c.send(g.open(cfg.ASN, cfg.RouterID).message(), openTime); err != nil {
		return err
	}
	m, err := c.receive(openTime)
	if err != nil {
		return g.unheard(err)
	}
	o, err := g.meet(c, m)
	if err != nil {
		return err
	}
	if err := g.confirm(c, o); err != nil {
		return err
	}
	g.poke() // a connection that was accepted is worth waiting for
	hold, _ := g.hold(o.HoldTime)
	if err := c.send(newMessage(keepaliveKind), hold); err != nil {
		return err
	}
	if m, err = c.receive(hold); err != nil {
		return err
	}
	if m.kind() != keepaliveKind {
		return unexpected(m, openConfirm)
	}
	return g.relay(c)
}

// unheard adds to the silence of a neighbor that let us connect what it most
// often means: the kernel drops what comes with too small a TTL.
func (g *guard) unheard(err error) error {
	var refused *refusal
	if g.TTLSecurity && errors.As(err, &refused) && refused.code == holdTimerError {
		return refuse(refused.code, refused.subcode, nil, "%s (has it no ttl security, or is it farther away?)", refused.reason)
	}
	return err
}

// meet reads m, the first message on c, which must be an OPEN that suits us.
func (g *guard) meet(c *connection, m message) (open, error) {
	if m.kind() != openKind {
		return open{}, unexpected(m, openSent)
	}
	o, refused := parseOpen(m)
	if refused != nil {
		return open{}, refused
	}
	cfg := g.speaker.cfg
	if refused := o.check(expected{ASN: g.ASN, LocalASN: cfg.ASN, RouterID: cfg.RouterID, Families: g.Families}); refused != nil {
		return open{}, refused
	}
	switch {
	case o.HoldTime == 0: // RFC 4271 section 6.2 lets us refuse any
		return open{}, refuse(openError, unacceptableHoldTime, nil, "it wants no hold time: it would never miss us")
	case g.carried(o, c.local()) == 0:
		return open{}, refuse(openError, unsupportedCapability, nil, "no route can be told: it takes no IPv4 routes with an IPv6 next hop (RFC 8950), or there is no IPv6 next hop")
	}
	return o, nil
}

// unexpected refuses a message that has no place in a state (RFC 6608).
func unexpected(m message, state string) *refusal {
	subcode := map[string]byte{openSent: 1, openConfirm: 2, established: 3}[state]
	return refuse(stateError, subcode, nil, "it sent a message of type %s in state %s", kindName(m.kind()), state)
}

// relay connects the neighbor with GoBGP until c ends, and returns why it must.
func (g *guard) relay(c *connection) error {
	hold, _ := g.hold(c.open.HoldTime)
	ctx, cancel := context.WithTimeout(c.ctx, hold/2) // without keepalives from us, the neighbor does not wait longer
	defer cancel()
	t, err := g.speaker.engine.attach(ctx, g.feed(c.open, c.local()))
	if err != nil {
		return refuse(ceaseError, outOfResources, nil, "%v", err)
	}
	defer t.Close()
	defer context.AfterFunc(c.ctx, func() { t.Conn.Close() })()
	c.prefixes = make(map[netip.Prefix]struct{})
	g.entry.tally.prefixes.Store(0) // what the last session told is gone with it
	if err := g.establish(c); err != nil {
		return err
	}
	g.speaker.learner.up(g.Address, g.carried(c.open, c.local()), c.open.Refresh)
	defer g.speaker.learner.down(g.Address)
	g.running.Go(func() { g.outward(c, t) })
	err = g.inward(c, t)
	c.cancel(err) // before outward sees GoBGP's end of it close
	return err
}

// outward relays what GoBGP sends, and ends c when it cannot go on.
func (g *guard) outward(c *connection, t *tap) {
	hold, _ := g.hold(c.open.HoldTime)
	var buf [maxLength]byte
	for {
		m, err := readMessage(t, &buf)
		if err != nil {
			c.cancel(refuse(ceaseError, outOfResources, nil, "gobgp ended the session: %v", err))
			return
		}
		if m.kind() == notificationKind {
			n := parseNotification(m)
			c.cancel(refuse(n.Code, n.Subcode, m.body()[2:], "gobgp ended the session"))
			return
		}
		err = c.send(m, hold)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.cancel(err)
		}
		if err != nil { // if the neighbor is gone, inward may still read why
			return
		}
	}
}

// inward reads what the neighbor sends, and returns why it cannot go on.
func (g *guard) inward(c *connection, t *tap) error {
	hold, _ := g.hold(c.open.HoldTime)
	for {
		m, err := c.receive(hold)
		if err != nil {
			return err
		}
		var wanted Families
		switch m.kind() {
		case openKind:
			return unexpected(m, established)
		case updateKind:
			if err := g.hear(c, m); err != nil {
				return err
			}
		case refreshKind:
			if f, ok := parseRefresh(m); ok {
				wanted = f & g.carried(c.open, c.local())
			}
		}
		if err := t.lives(wanted); err != nil {
			return err
		}
	}
}

// refreshMessage asks for the routes of f, one family (RFC 2918 section 3).
func refreshMessage(f Families) message {
	return newMessage(refreshKind, 0, f.afi(), 0, safiUnicast)
}

// hear reads an UPDATE, where somebody wants to know what is in it.
func (g *guard) hear(c *connection, m message) error {
	if g.MaxPrefixes == 0 && !g.speaker.learner.listens() {
		return nil
	}
	u, refused := parseUpdate(m, c.open.FourOctet)
	if refused != nil {
		return refused
	}
	g.speaker.learner.hear(g.Address, u)
	return g.limit(c, u)
}

// limit counts the prefixes that the neighbor has told, if there is a limit.
func (g *guard) limit(c *connection, u update) error {
	if g.MaxPrefixes == 0 {
		return nil
	}
	for _, p := range u.Withdrawn {
		delete(c.prefixes, p)
	}
	for _, p := range u.Announced {
		c.prefixes[p] = struct{}{}
	}
	g.entry.tally.prefixes.Store(int64(len(c.prefixes)))
	if len(c.prefixes) > g.MaxPrefixes {
		return refuse(ceaseError, tooManyPrefixes, nil, "it told %d prefixes, where %d is the most", len(c.prefixes), g.MaxPrefixes)
	}
	return nil
}
