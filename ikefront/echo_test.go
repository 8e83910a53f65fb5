package ikefront

import (
	"net/netip"
	"os"
	"testing"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// echoVar is the environment variable that names the address and port where
// TestAnEcho serves.
const echoVar = "ANYCASTD_ECHO"

// TestAnEcho is no test but what "make bench" holds the front against: the same
// sockets and batches, and nothing done but to send back as many of a request's
// first octets as a redirect would have. It does so until it is killed.
func TestAnEcho(t *testing.T) {
	at, err := netip.ParseAddrPort(os.Getenv(echoVar))
	if err != nil {
		return // nobody asked for it
	}
	var counts Counters
	front := new(shared)
	s, err := open(at, at, maxQueue, front, &counts)
	if err != nil {
		t.Fatal(err)
	}
	size := ike.RedirectSize(&ike.Request{Nonce: make([]byte, 32)}, ike.GatewayID{Addr: at.Addr()})
	turn := func(fd uintptr) bool {
		b, err := front.batches.get()
		if err != nil {
			return false
		}
		defer front.batches.put(b)
		n, err := b.receive(int(fd))
		if err != nil {
			return false
		}
		for i := range n {
			in, _ := b.request(i)
			b.became(i, in[:min(size, len(in))], Redirected)
		}
		b.send(int(fd), b.queued)
		return true
	}
	t.Logf("echoing %d octets at %s", size, at)
	for err == nil {
		err = s.raw.Read(turn)
	}
	t.Fatal(err)
}
