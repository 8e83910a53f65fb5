package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// ikePort is the UDP port of IKE (RFC 7296 section 2).
const ikePort = 500

// Gateway stands in for a VPN gateway: it answers liveness probes as real ones
// do, and each client that comes with NO_PROPOSAL_CHOSEN. It builds no tunnels.
type Gateway struct {
	out    io.Writer
	probed map[netip.Addr]bool // by whom; only the first probe is told
}

// NewGateway returns a Gateway that Run starts. It tells on out what happens, a
// line for each event.
func NewGateway(out io.Writer) *Gateway {
	return &Gateway{out: out, probed: map[netip.Addr]bool{}}
}

// Run answers on UDP port 500 of all addresses until ctx ends.
func (g *Gateway) Run(ctx context.Context) error {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: ikePort})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	g.say("ready")
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("gateway: %w", err)
		}
		if out := g.answer(buf[:n], from.Addr().Unmap()); out != nil {
			_, _ = conn.WriteToUDPAddrPort(out, from) // the client will ask again
		}
	}
}

// answer returns the answer to a datagram; nil if it gets none.
func (g *Gateway) answer(in []byte, from netip.Addr) []byte {
	r, err := ike.ParseRequest(in)
	h, _ := ike.ParseHeader(in)
	switch {
	case errors.Is(err, ike.NewVersion): // the probe of anycastd (RFC 7296 section 2.5)
		if !g.probed[from] {
			g.probed[from] = true
			g.say("%v asks whether we live, and is answered INVALID_MAJOR_VERSION as by any gateway", from)
		}
		return ike.AppendNotify(nil, h, ike.InvalidMajorVersion, nil)
	case err != nil:
		g.say("%v sent what is no IKE_SA_INIT: %v", from, err)
		return nil
	case r.From.IsValid():
		g.say("client %v comes with REDIRECTED_FROM %v", from, r.From)
	default:
		g.say("client %v comes without REDIRECTED_FROM", from)
	}
	return ike.AppendNotify(nil, h, ike.NoProposalChosen, nil)
}

func (g *Gateway) say(format string, args ...any) { fmt.Fprintf(g.out, format+"\n", args...) }
