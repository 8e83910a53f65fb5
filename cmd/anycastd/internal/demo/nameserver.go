package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"

	miekgdns "github.com/miekg/dns"
)

// fudge is by how many seconds the clocks of a signer and a verifier may differ
// (RFC 8945 section 10, recommended).
const fudge = 300

// NameServerConfig is what a NameServer is made of.
type NameServerConfig struct {
	Zone      string           // absolute
	Addresses []netip.AddrPort // where it answers, over UDP and TCP, and what ns.ZONE is said to be
	Key       string           // name of the TSIG key for updates; its algorithm is hmac-sha256
	Secret    string           // base64
}

// NameServer is the primary of one zone. It answers questions, takes updates
// signed with its key (RFC 2136, RFC 8945), and tells on out what happens, a line
// for each event.
type NameServer struct {
	cfg  NameServerConfig
	zone *zone

	mu  sync.Mutex // held while a line is written
	out io.Writer
}

// NewNameServer returns a NameServer that Run starts.
func NewNameServer(cfg NameServerConfig, out io.Writer) *NameServer {
	cfg.Key = miekgdns.CanonicalName(cfg.Key)
	var addrs []netip.Addr
	for _, a := range cfg.Addresses {
		addrs = append(addrs, a.Addr())
	}
	return &NameServer{cfg: cfg, zone: newZone(cfg.Zone, addrs), out: out}
}

// Run answers until ctx ends. An error is one of the start, such as an address
// that is taken.
func (s *NameServer) Run(ctx context.Context) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	for _, a := range s.cfg.Addresses {
		server, err := s.listen(a)
		if err != nil {
			return fmt.Errorf("name server: %w", err)
		}
		for _, server := range server {
			serving.Go(func() { _ = server.ActivateAndServe() }) // until it is closed
		}
		defer server[0].PacketConn.Close()
		defer server[1].Listener.Close()
	}
	s.say("ready, serving %s", s.zone.soa.Hdr.Name)
	<-ctx.Done()
	return nil
}

// listen opens an address over UDP and over TCP.
func (s *NameServer) listen(a netip.AddrPort) ([2]*miekgdns.Server, error) {
	var servers [2]*miekgdns.Server
	packets, err := net.ListenPacket("udp", a.String())
	if err != nil {
		return servers, err
	}
	listener, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		packets.Close()
		return servers, err
	}
	keys := map[string]string{s.cfg.Key: s.cfg.Secret}
	for i := range servers {
		servers[i] = &miekgdns.Server{Handler: s, TsigSecret: keys, MsgAcceptFunc: accept}
	}
	servers[0].PacketConn, servers[1].Listener = packets, listener
	return servers, nil
}

// accept takes updates, which the library does not by itself.
func accept(h miekgdns.Header) miekgdns.MsgAcceptAction {
	const response = 1 << 15                                             // QR (RFC 1035 section 4.1.1)
	if h.Bits&response == 0 && h.Bits>>11&0xF == miekgdns.OpcodeUpdate { // RFC 2136 section 2.2
		return miekgdns.MsgAccept
	}
	return miekgdns.DefaultMsgAcceptFunc(h)
}

// ServeDNS answers one message.
func (s *NameServer) ServeDNS(w miekgdns.ResponseWriter, m *miekgdns.Msg) {
	reply := new(miekgdns.Msg).SetReply(m)
	signature := m.IsTsig()
	switch {
	case signature != nil && w.TsigStatus() != nil:
		reply.Rcode = miekgdns.RcodeNotAuth // RFC 8945 section 5.2
		s.say("%s from %s: its signature is wrong: %v", miekgdns.OpcodeToString[m.Opcode], client(w), w.TsigStatus())
		signature = nil
	case m.Opcode == miekgdns.OpcodeUpdate && signature == nil:
		reply.Rcode = miekgdns.RcodeRefused // RFC 2136 section 3.3
		s.say("update from %s refused: it is not signed", client(w))
	case m.Opcode == miekgdns.OpcodeUpdate:
		s.update(w, m, reply)
	case m.Opcode == miekgdns.OpcodeQuery:
		s.zone.answer(reply, m.Question[0])
		s.tellQuery(w, m.Question[0], reply)
	default:
		reply.Rcode = miekgdns.RcodeNotImplemented
	}
	if signature != nil {
		reply.SetTsig(signature.Hdr.Name, signature.Algorithm, fudge, int64(signature.TimeSigned))
	}
	_ = w.WriteMsg(reply) // the client has gone
}

// update carries out a signed update.
func (s *NameServer) update(w miekgdns.ResponseWriter, m, reply *miekgdns.Msg) {
	var done []string
	reply.Rcode, done = s.zone.update(m)
	for _, what := range done {
		s.say("update from %s, signed with %s: %s", client(w), s.cfg.Key, what)
	}
	if reply.Rcode != miekgdns.RcodeSuccess {
		s.say("update from %s refused: %s", client(w), miekgdns.RcodeToString[reply.Rcode])
	}
}

// tellQuery tells who asked for what and what the answer was.
func (s *NameServer) tellQuery(w miekgdns.ResponseWriter, q miekgdns.Question, reply *miekgdns.Msg) {
	var data []string
	for _, rr := range reply.Answer {
		data = append(data, rdata(rr))
	}
	answer := strings.Join(data, ", ")
	if answer == "" {
		answer = "no such record (" + miekgdns.RcodeToString[reply.Rcode] + ")"
	}
	s.say("%s asks for %s %s: %s", client(w), q.Name, miekgdns.TypeToString[q.Qtype], answer)
}

func (s *NameServer) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// client is the address that asks.
func client(w miekgdns.ResponseWriter) string {
	host, _, _ := net.SplitHostPort(w.RemoteAddr().String())
	return host
}
