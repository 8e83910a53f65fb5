package bgp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// rawAddr is the neighbor that the test itself is, on loopback.
var rawAddr = netip.MustParseAddr("127.0.0.66")

// rawOpen is what it says in its OPEN.
func rawOpen() open {
	return open{ASN: 65066, HoldTime: 90 * time.Second, RouterID: netip.MustParseAddr("192.0.2.66"),
		Multiprotocol: true, Families: both, FourOctet: true, Refresh: true, ExtendedNextHop: true}
}

// raw is a neighbor's end of a connection, for the test to say what it likes.
type raw struct {
	*net.TCPConn
	t  *testing.T
	in [maxLength]byte
}

// rawNeighbor is the test as a neighbor that dials us.
func rawNeighbor() Neighbor {
	return Neighbor{Address: rawAddr, ASN: 65066, Passive: true, ConnectRetry: time.Second, HoldTime: 90 * time.Second}
}

// rawPort is where we listen for it.
const rawPort = 1179

// rawListen makes a Config listen for it.
func rawListen(cfg Config) Config {
	cfg.ListenPort, cfg.Listen = rawPort, []netip.Addr{loopback}
	return cfg
}

// dialRaw connects until the neighbor's guard takes the connection, which its
// OPEN shows, and reads that.
func dialRaw(t *testing.T) *raw {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: rawAddr.AsSlice()}}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		conn, err := dialer.Dial("tcp4", netip.AddrPortFrom(loopback, rawPort).String())
		if err != nil {
			continue
		}
		r := &raw{TCPConn: conn.(*net.TCPConn), t: t}
		if m, err := r.read(); err == nil && m.kind() == openKind {
			t.Cleanup(func() { r.Close() })
			return r
		}
		conn.Close()
	}
	t.Fatal("after 30 s the guard takes no connection")
	return nil
}

// read waits for our next message.
func (r *raw) read() (message, error) {
	r.SetReadDeadline(time.Now().Add(30 * time.Second))
	return readMessage(r, &r.in)
}

// say sends messages; that the connection is closed already is no error.
func (r *raw) say(all ...message) {
	for _, m := range all {
		if _, err := r.Write(m); err != nil {
			return
		}
	}
}

// establish says what brings the session up.
func (r *raw) establish() *raw {
	r.t.Helper()
	r.say(rawOpen().message(), newMessage(keepaliveKind))
	return r
}

// end reads until the connection ends, and returns the NOTIFICATION before that.
func (r *raw) end() notification {
	r.t.Helper()
	defer r.Close()
	var n notification
	for {
		m, err := r.read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			r.t.Fatal("the connection stays open")
		}
		if err != nil {
			return n
		}
		if m.kind() == notificationKind {
			n = parseNotification(m)
		}
	}
}
