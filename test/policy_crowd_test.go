package test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/ikefront/ike"
	"github.com/anycastd/anycastd/test/lab"
)

// Where a crowd's clients come from: 65,536 addresses of IPv4, and as many /56
// of IPv6.
const crowd4, crowd6 = "172.16.0.0/16", "2001:db8:1000::/40"

// crowd is many clients on the fabric's client host, each with an address of
// its own. They never go where they are redirected to.
type crowd struct {
	t       *testing.T
	lab     *lab.Lab
	sockets map[string]*net.UDPConn // by family

	mu     sync.Mutex
	visits map[uint64]*visit // by SPI
	late   time.Duration     // the most that a stream's request was sent too late
}

// visit is one client's request, and what became of it.
type visit struct {
	client   netip.Addr
	at       netip.AddrPort
	request  []byte
	asked    time.Time      // just before the request was first sent
	answered time.Time      // just after the answer was read; zero: it was not
	gateway  string         // where a REDIRECT leads; "": there was none
	notify   ike.NotifyType // the answer's first; 0: there is none
}

// outcome is what became of a visit, in a word.
func (v *visit) outcome() string {
	switch {
	case v.answered.IsZero():
		return "silence"
	case v.gateway != "":
		return v.gateway
	case v.notify != 0:
		return v.notify.String()
	}
	return "accepted"
}

// newCrowd makes room for a crowd in the fabric.
func (f *fabric) newCrowd(t *testing.T) *crowd {
	t.Helper()
	return crowdBehind(t, f.Lab, f.client, f.router)
}

// crowdBehind makes room for a crowd on a host with the fabric's client's
// addresses, behind a router.
func crowdBehind(t *testing.T, l *lab.Lab, host, router *lab.Host) *crowd {
	t.Helper()
	for prefix, via := range map[string]string{crowd4: client4, crowd6: client6} {
		host.Route("local " + prefix + " dev lo")
		router.Route(prefix + " via " + via)
	}
	c := &crowd{t: t, lab: l, sockets: map[string]*net.UDPConn{}, visits: map[uint64]*visit{}}
	for name, network := range map[string]string{"ipv4": "udp4", "ipv6": "udp6"} {
		var s *net.UDPConn
		if err := host.Do(func() (err error) { s, err = listenForAny(network); return err }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		c.sockets[name] = s
		go c.read(s)
	}
	return c
}

// daemon runs the daemon, and kills it when the scenario is over: nothing is left
// to see then of an orderly stop, which takes seconds.
func (f *fabric) daemon(t *testing.T, config string) *anycastd {
	d := startAnycastd(f.front, config)
	t.Cleanup(d.Kill)
	return d
}

// listenForAny opens a UDP socket that may send from any address: for IPv6 a
// local route does not make it one of the host's.
func listenForAny(network string) (*net.UDPConn, error) {
	listen := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1) }) // of IPv4: refused, not needed
	}}
	conn, err := listen.ListenPacket(context.Background(), network, ":0")
	if err != nil {
		return nil, err
	}
	s := conn.(*net.UDPConn)
	return s, s.SetReadBuffer(1 << 20)
}

// client returns the i-th client of a family.
func client(family string, i int) netip.Addr {
	if family == "ipv4" {
		a := netip.MustParsePrefix(crowd4).Addr().As4()
		binary.BigEndian.PutUint16(a[2:], uint16(i))
		return netip.AddrFrom4(a)
	}
	a := netip.MustParsePrefix(crowd6).Addr().As16()
	binary.BigEndian.PutUint16(a[5:], uint16(i))
	a[15] = 1
	return netip.AddrFrom16(a)
}

// clientIndex undoes client.
func clientIndex(a netip.Addr) int {
	if a.Is4() {
		b := a.As4()
		return int(binary.BigEndian.Uint16(b[2:]))
	}
	b := a.As16()
	return int(binary.BigEndian.Uint16(b[5:]))
}

// clients returns n of each family, from the i-th on.
func clients(i, n int) (all []netip.Addr) {
	for k := range n {
		all = append(all, client("ipv4", i+k), client("ipv6", i+k))
	}
	return all
}

// anycastOf returns where a client asks.
func anycastOf(client netip.Addr) netip.AddrPort {
	if client.Is4() {
		return netip.AddrPortFrom(netip.MustParseAddr(anycast4), 500)
	}
	return netip.AddrPortFrom(netip.MustParseAddr(anycast6), 500)
}

// ask sends a client's request, and returns at once.
func (c *crowd) ask(client netip.Addr, at netip.AddrPort) *visit {
	secret := make([]byte, 8+32+32)
	rand.Read(secret) // never fails
	spi := binary.BigEndian.Uint64(secret) | 1
	m := ike.Init{SPIi: spi, Nonce: secret[8:40], Group: 31, KE: secret[40:], Supported: true} // RFC 8031: any 32 octets are a key share
	v := &visit{client: client, at: at, request: m.Append(nil), asked: time.Now()}
	c.mu.Lock()
	c.visits[spi] = v
	c.mu.Unlock()
	c.send(v)
	return v
}

// send sends v's request, from its client's address. What the kernel does not
// take is lost, as on the way.
func (c *crowd) send(v *visit) {
	var own []byte
	if v.client.Is4() {
		own = unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: v.client.As4()})
	} else {
		own = unix.PktInfo6(&unix.Inet6Pktinfo{Addr: v.client.As16()})
	}
	_, _, _ = c.sockets[family(v.client.String())].WriteMsgUDPAddrPort(v.request, own, v.at)
}

// read takes in answers until the socket is closed.
func (c *crowd) read(s *net.UDPConn) {
	buf := make([]byte, 1<<16)
	for {
		n, err := s.Read(buf)
		if err != nil {
			return
		}
		now := time.Now()
		h, _ := ike.ParseHeader(buf[:n])
		r, err := ike.ParseResponse(buf[:n], h.SPIi)
		c.mu.Lock()
		if v := c.visits[h.SPIi]; v != nil && v.answered.IsZero() && err == nil {
			v.answered = now
			if len(r.Notifies) > 0 && r.Payloads[0] == ike.PayloadNotify {
				v.notify = r.Notifies[0].Type
			}
			if to, _, ok := r.Redirect(); ok {
				v.gateway = map[string]string{gw14: "gw1", gw16: "gw1", gw24: "gw2", gw26: "gw2"}[to.Addr.String()]
			}
		}
		c.mu.Unlock()
	}
}

// among counts the outcomes of these clients' requests to the anycast
// addresses, once all have been answered. They ask again as clients do.
func (c *crowd) among(all []netip.Addr) map[string]int { return c.at(all, anycastOf) }

// at is among for clients that ask elsewhere.
func (c *crowd) at(all []netip.Addr, where func(netip.Addr) netip.AddrPort) map[string]int {
	c.t.Helper()
	var visits []*visit
	for i, a := range all {
		visits = append(visits, c.ask(a, where(a)))
		if i%50 == 49 {
			time.Sleep(5 * time.Millisecond) // for the sockets' buffers
		}
	}
	last := time.Now()
	c.lab.Eventually(fmt.Sprintf("%d clients are answered", len(all)), patience, func() error {
		open := c.open(visits)
		if len(open) == 0 {
			return nil
		}
		if time.Since(last) > time.Second {
			last = time.Now()
			for _, v := range open {
				c.send(v)
			}
		}
		return fmt.Errorf("%d are not, %v for one", len(open), open[0].client)
	})
	return c.count(visits)
}

// open returns those of visits that have not been answered.
func (c *crowd) open(visits []*visit) (open []*visit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range visits {
		if v.answered.IsZero() {
			open = append(open, v)
		}
	}
	return open
}

// count counts the outcomes of visits.
func (c *crowd) count(visits []*visit) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for _, v := range visits {
		out[v.outcome()]++
	}
	return out
}

// stream makes clients of both families in turn come at a rate per second,
// each another one, until stop is called.
func (c *crowd) stream(rate int) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	start := time.Now()
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
			select {
			case <-done:
				return
			case <-time.After(time.Until(due)):
			}
			c.mu.Lock()
			c.late = max(c.late, time.Since(due))
			c.mu.Unlock()
			a := client([]string{"ipv4", "ipv6"}[i%2], i/2)
			c.ask(a, anycastOf(a))
		}
	}()
	return sync.OnceFunc(func() { close(done); <-ended })
}

// lateness returns the most that a stream's request was sent too late: this
// machine may have served the daemon's timers as badly.
func (c *crowd) lateness() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.late
}

// since returns the visits that were begun after t, in their order.
func (c *crowd) since(t time.Time) (out []visit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for v := range maps.Values(c.visits) {
		if v.asked.After(t) {
			out = append(out, *v)
		}
	}
	slices.SortFunc(out, func(a, b visit) int { return cmp.Compare(a.asked.UnixNano(), b.asked.UnixNano()) })
	return out
}

// awaitVisit waits until clients of both families that asked after t have come
// to a gateway.
func (c *crowd) awaitVisit(gateway string, t time.Time) {
	c.t.Helper()
	c.lab.Eventually("clients of both families come to "+gateway, patience, func() error {
		came := map[string]int{}
		for _, v := range c.since(t) {
			if v.gateway == gateway {
				came[family(v.client.String())]++
			}
		}
		if len(came) < 2 {
			return fmt.Errorf("%v", came)
		}
		return nil
	})
}

// mustNotSend wants no client that asked after from, and before until, sent to
// a gateway, and some sent elsewhere.
func (c *crowd) mustNotSend(gateway string, from, until time.Time) {
	c.t.Helper()
	var wrong []visit
	others := 0
	for _, v := range c.since(from) {
		switch {
		case !v.asked.Before(until):
		case v.gateway == gateway:
			wrong = append(wrong, v)
		case v.gateway != "":
			others++
		}
	}
	if n := len(wrong); n > 0 {
		c.t.Errorf("%d clients were sent to %s, from %v to %v after it should have got its last", n, gateway, wrong[0].asked.Sub(from), wrong[n-1].asked.Sub(from))
	}
	if others == 0 {
		c.t.Errorf("no client came to another gateway than %s", gateway)
	}
}
