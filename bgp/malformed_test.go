package bgp

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// beside starts a Speaker with the raw neighbor, left alone for only a moment
// after an error, and a BIRD whose session must not notice anything. The check
// that it has not is to be called at the end.
func beside(t *testing.T) (s *running, unharmed func()) {
	t.Helper()
	startBird(t, fmt.Sprintf(bird4, "passive on;"))
	s = startSpeaker(t, rawListen(Config{Neighbors: []Neighbor{theirs4()}}))
	s.set(route(prefix4))
	s.up(their4)
	before := s.peer(their4)
	want := s.cfg.sessions([]Neighbor{theirs4(), rawNeighbor()})
	hasty := want[rawAddr]
	hasty.ConnectRetry = 2 * time.Millisecond
	want[rawAddr] = hasty
	s.mu.Lock()
	err := s.setGuards(want)
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	return s, func() {
		t.Helper()
		if p := s.peer(their4); !p.Up() || p.Since != before.Since || p.LastError != "" {
			t.Errorf("want the other session unharmed since %v, got %+v", before.Since, p)
		}
	}
}

// messageOf is a message of that type, whatever BGP says of it.
func messageOf(kind byte, body ...byte) message { return newMessage(kind, body...) }

// anUpdate is an UPDATE that announces 198.51.100.1/32 with attributes beside
// ORIGIN, AS_PATH and NEXT_HOP, given as on the wire.
func anUpdate(more ...byte) message {
	list := append([]byte{
		0x40, 1, 1, 0,
		0x40, 2, 6, 2, 1, 0, 0, 0xFE, 0x2A, // 65066
		0x40, 3, 4, 127, 0, 0, 66,
	}, more...)
	return attributed(list, 32, 198, 51, 100, 1)
}

// attributed is an UPDATE with these attributes and routes.
func attributed(list []byte, nlri ...byte) message {
	body := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(len(list)))
	return newMessage(updateKind, append(append(body, list...), nlri...)...)
}

// openWith is rawOpen with other optional parameters, given as on the wire.
func openWith(parameters ...byte) message {
	m := slices.Clone(rawOpen().message()[:minOpen-1])
	m = append(m, byte(len(parameters)))
	m = append(m, parameters...)
	binary.BigEndian.PutUint16(m[markerLength:], uint16(len(m)))
	return m
}

// changed is rawOpen but for what change does.
func changed(change func(*open)) message {
	o := rawOpen()
	change(&o)
	return o.message()
}

// with is m with the octet at i set.
func with(m message, i int, octet byte) message {
	m = slices.Clone(m)
	m[i] = octet
	return m
}

// unicast4And6 are the capabilities without which nothing can be told to the
// raw neighbor, as a parameter with those of more beside them.
func capable(more ...byte) []byte {
	all := append([]byte{1, 4, 0, 1, 0, 1, 65, 4, 0, 0, 0xFE, 0x2A}, more...)
	return append([]byte{2, byte(len(all))}, all...)
}

// notBGP4 is what an OPEN, or what comes in its place, is answered with.
var firstMessages = map[string]struct {
	say  message
	want notification // zero: the session comes up
}{
	"type 0":                       {messageOf(0), notification{1, 3, ""}},
	"type 6":                       {messageOf(6), notification{1, 3, ""}},
	"type 9":                       {messageOf(9), notification{1, 3, ""}},
	"an UPDATE":                    {anUpdate(), notification{5, 1, ""}},
	"a KEEPALIVE":                  {messageOf(keepaliveKind), notification{5, 1, ""}},
	"a ROUTE-REFRESH":              {refreshMessage(IPv4Unicast), notification{5, 1, ""}},
	"a marker of zeros":            {with(rawOpen().message(), 7, 0), notification{1, 1, ""}},
	"a length of 18":               {with(rawOpen().message(), 17, 18), notification{1, 2, ""}},
	"an OPEN of 28 octets":         {messageOf(openKind, make([]byte, 9)...), notification{1, 2, ""}},
	"version 3":                    {with(rawOpen().message(), headerLength, 3), notification{2, 1, ""}},
	"another AS":                   {changed(func(o *open) { o.ASN = 65067 }), notification{2, 2, ""}},
	"BGP Identifier 0.0.0.0":       {changed(func(o *open) { o.RouterID = netip.IPv4Unspecified() }), notification{2, 3, ""}},
	"an unknown parameter":         {openWith(1, 0), notification{2, 4, ""}},
	"a hold time of 1 s":           {changed(func(o *open) { o.HoldTime = time.Second }), notification{2, 6, ""}},
	"no hold time":                 {changed(func(o *open) { o.HoldTime = 0 }), notification{2, 6, ""}},
	"no family of ours":            {openWith(2, 12, 1, 4, 0, 25, 0, 70, 65, 4, 0, 0, 0xFE, 0x2A), notification{2, 7, ""}},
	"a family of 3 octets":         {openWith(capable(1, 3, 0, 1, 0)...), notification{2, 0, ""}},
	"an AS of 2 octets":            {openWith(2, 4, 65, 2, 0xFE, 0x2A), notification{2, 0, ""}},
	"a capability that is cut off": {openWith(2, 2, 64, 6), notification{2, 0, ""}},
	"a parameter that is cut off":  {openWith(2, 20, 1), notification{2, 0, ""}},
	"graceful restart of 5 octets": {openWith(capable(64, 5, 0, 0, 0, 1, 1)...), notification{2, 0, ""}},
	"next hops of 5 octets":        {openWith(capable(5, 5, 0, 1, 0, 1, 0)...), notification{2, 0, ""}},
	"add-path of 3 octets":         {openWith(capable(69, 3, 0, 1, 1)...), notification{}},
	"long-lived graceful restart":  {openWith(capable(71, 3, 0, 1, 1)...), notification{}},
	"a name longer than its place": {openWith(capable(73, 2, 200, 'x')...), notification{}},
	"no parameters at all":         {openWith(), notification{}},
}

func TestTheFirstMessageIsHeldToBGP(t *testing.T) {
	s, unharmed := beside(t)
	for name, tc := range firstMessages {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t)
			r.say(tc.say, newMessage(keepaliveKind))
			if tc.want == (notification{}) {
				s.up(rawAddr)
				r.Close()
				eventually(t, "it is down again", func() bool { return !s.peer(rawAddr).Up() })
				return
			}
			if got := r.end(); got != tc.want {
				t.Errorf("want %v, got %v", tc.want, got)
			}
			eventually(t, "it is told", func() bool { return strings.HasSuffix(s.peer(rawAddr).LastError, "we sent "+tc.want.String()) })
		})
	}
	r := dialRaw(t).establish()
	s.up(rawAddr)
	unharmed()
	r.Close()
}

func TestLaterMessagesAreHeldToBGP(t *testing.T) {
	tolerated := notification{}
	s, unharmed := beside(t)
	for name, tc := range map[string]struct {
		say           message
		want, watched notification // without and with somebody who wants to know the routes
	}{
		"type 0":                           {messageOf(0), notification{1, 3, ""}, notification{1, 3, ""}},
		"type 6":                           {messageOf(6), notification{1, 3, ""}, notification{1, 3, ""}},
		"type 9":                           {messageOf(9), notification{1, 3, ""}, notification{1, 3, ""}},
		"a second OPEN":                    {rawOpen().message(), notification{5, 3, ""}, notification{5, 3, ""}},
		"a KEEPALIVE of 20 octets":         {messageOf(keepaliveKind, 0), notification{1, 2, ""}, notification{1, 2, ""}},
		"a length of 4097":                 {message(binary.BigEndian.AppendUint16(slices.Clone(messageOf(updateKind)[:16]), 4097)).and(2), notification{1, 2, ""}, notification{1, 2, ""}},
		"an UPDATE of 22 octets":           {messageOf(updateKind, 0, 0, 0), notification{1, 2, ""}, notification{1, 2, ""}},
		"a ROUTE-REFRESH of EVPN":          {messageOf(refreshKind, 0, 25, 0, 70), tolerated, tolerated},
		"a ROUTE-REFRESH with filters":     {messageOf(refreshKind, 0, 1, 0, 1, 1, 64, 0, 4, 0, 0, 0, 0), tolerated, tolerated},
		"a good UPDATE":                    {anUpdate(), tolerated, tolerated},
		"Prefix-SID junk":                  {anUpdate(0xC0, 40, 12, 5, 0, 9, 0, 1, 0, 200, 1, 0, 0, 0, 0), tolerated, tolerated},
		"EVPN junk":                        {anUpdate(0x80, 14, 9, 0, 25, 70, 4, 127, 0, 0, 66, 0), tolerated, tolerated},
		"an unknown well-known attribute":  {anUpdate(0x40, 99, 1, 0), tolerated, tolerated},
		"ORIGIN without its flag":          {attributed([]byte{0, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, 127, 0, 0, 66}, 32, 198, 51, 100, 1), tolerated, tolerated},
		"NEXT_HOP of no octets":            {attributed([]byte{0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 0}, 32, 198, 51, 100, 1), tolerated, tolerated},
		"NEXT_HOP of 2 octets":             {attributed([]byte{0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 2, 127, 0}, 32, 198, 51, 100, 1), tolerated, tolerated},
		"NEXT_HOP of 16 octets":            {attributed(append([]byte{0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 16}, make([]byte, 16)...), 32, 198, 51, 100, 1), tolerated, tolerated},
		"AS4_PATH before AS_PATH":          {attributed([]byte{0xC0, 17, 6, 2, 1, 0, 0, 0xFE, 0x2A, 0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, 127, 0, 0, 66}, 32, 198, 51, 100, 1), tolerated, tolerated},
		"communities of 3 octets":          {anUpdate(0xC0, 8, 3, 0, 1, 0), tolerated, tolerated},
		"an empty AIGP":                    {anUpdate(0x80, 26, 0), tolerated, tolerated},
		"withdrawn routes that are longer": {messageOf(updateKind, 0, 200, 0, 0), tolerated, notification{3, 1, ""}},
		"attributes that are longer":       {messageOf(updateKind, 0, 0, 0, 200), tolerated, notification{3, 1, ""}},
		"a prefix of 33 bits":              {attributed([]byte{0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, 127, 0, 0, 66}, 33, 198, 51, 100, 1, 0), tolerated, notification{3, 10, ""}},
		"a prefix that is cut off":         {attributed([]byte{0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, 127, 0, 0, 66}, 32, 198), tolerated, notification{3, 10, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			for watched, want := range map[bool]notification{false: tc.want, true: tc.watched} {
				s.Watch(nil)
				if watched {
					s.Watch([]netip.Addr{netip.MustParseAddr("198.51.100.1")})
				}
				r := dialRaw(t).establish()
				s.up(rawAddr)
				before := s.peer(rawAddr)
				r.say(tc.say)
				if want != tolerated {
					if got := r.end(); got != want {
						t.Errorf("watched %v: want %v, got %v", watched, want, got)
					}
				} else {
					r.say(newMessage(keepaliveKind))
					eventually(t, "it is still heard", func() bool { return s.peer(rawAddr).Received.Keepalive > before.Received.Keepalive })
					if p := s.peer(rawAddr); p.Since != before.Since || !p.Up() {
						t.Errorf("watched %v: want the session kept, got %+v", watched, p)
					}
					r.Close()
				}
				eventually(t, "it is down", func() bool { return !s.peer(rawAddr).Up() })
			}
		})
	}
	unharmed()
}

// and is m with n octets more, all zero.
func (m message) and(n int) message { return append(m, make([]byte, n)...) }

// mutant is some message with some octets changed. Most are UPDATEs whose header
// is right, so that a session takes many of them.
func mutant(random *rand.Rand) message {
	var m message
	switch random.IntN(200) {
	case 0:
		m = rawOpen().message()
	case 1:
		m = notificationMessage(ceaseError, adminShutdown, shutdownText("bye"))
	case 2:
		m = messageOf(byte(random.IntN(256)), make([]byte, random.IntN(32))...)
	case 3, 4, 5, 6:
		m = refreshMessage(IPv4Unicast)
	case 7, 8:
		m = attributed([]byte{0x80, 15, 3, 0, 2, 1})
	default:
		m = anUpdate(0xC0, 8, 4, 0xFF, 0xFF, 0, 0, 0x80, 14, 38, 0, 2, 1, 16,
			0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0,
			128, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
	}
	first := headerLength
	if random.IntN(200) == 0 {
		first = 0
	}
	for range random.IntN(4) {
		if first < len(m) {
			m[first+random.IntN(len(m)-first)] = byte(random.IntN(256))
		}
	}
	return m
}

// mutate says mutants until the connection has ended, or for long enough.
func (r *raw) mutate(random *rand.Rand, ended <-chan struct{}) {
	for range 5000 {
		select {
		case <-ended:
			return
		default:
			r.say(mutant(random))
		}
	}
	r.CloseWrite()
}

func TestMutatedMessagesHarmNobodyElse(t *testing.T) {
	s, unharmed := beside(t)
	random := rand.New(rand.NewPCG(4271, 7606))
	goroutines := runtime.NumGoroutine()
	received := func() uint64 {
		n := s.peer(rawAddr).Received
		return n.Open + n.Update + n.Notification + n.Keepalive + n.RouteRefresh
	}
	sessions := 0
	speak := func(until uint64) {
		for received() < until {
			sessions++
			r := dialRaw(t)
			if random.IntN(10) == 0 {
				r.say(mutant(random)) // in place of an OPEN
			}
			r.establish()
			ended := make(chan struct{})
			go func() { r.end(); close(ended) }()
			r.mutate(random, ended)
			<-ended
		}
	}
	speak(80_000)
	s.Watch([]netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::1")})
	speak(100_000)
	t.Logf("%d connections", sessions)
	r := dialRaw(t).establish()
	s.up(rawAddr)
	unharmed()
	r.Close()
	eventually(t, "no goroutine more than before", func() bool { return runtime.NumGoroutine() <= goroutines })
}
