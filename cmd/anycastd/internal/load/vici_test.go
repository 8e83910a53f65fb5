package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// message returns a VICI command response with its length; the body is made of
// elements (VICI protocol, "message format").
func message(elements ...string) string {
	body := "\x01" + strings.Join(elements, "") // CMD_RESPONSE
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + body
}

// section returns a section of elements.
func section(name string, elements ...string) string {
	return "\x01" + string(rune(len(name))) + name + strings.Join(elements, "") + "\x02"
}

// value returns a value.
func value(name, v string) string {
	return "\x03" + string(rune(len(name))) + name + string(binary.BigEndian.AppendUint16(nil, uint16(len(v)))) + v
}

// stats returns charon's answer to stats, as far as it matters.
func stats(total, halfOpen string) string {
	return message(section("uptime", value("running", "5 seconds")), section("ikesas", value("total", total), value("half-open", halfOpen)))
}

// fakeCharon listens on a Unix socket and answers each request with what answer
// returns; "" closes the connection, and with hang it stays open for good after
// that answer.
type fakeCharon struct {
	path   string
	conns  atomic.Int32
	hang   atomic.Bool
	answer atomic.Pointer[func() string]
}

// newFakeCharon starts one.
func newFakeCharon(t *testing.T, answer func() string) *fakeCharon {
	t.Helper()
	f := &fakeCharon{path: filepath.Join(t.TempDir(), "vici")}
	f.answer.Store(&answer)
	l, err := net.Listen("unix", f.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.conns.Add(1)
			go f.serve(conn)
		}
	}()
	return f
}

// serve answers on one connection.
func (f *fakeCharon) serve(conn net.Conn) {
	defer conn.Close()
	head := make([]byte, 4)
	for {
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head))
		if _, err := io.ReadFull(conn, body); err != nil || string(body) != "\x00\x05stats" {
			return
		}
		out := (*f.answer.Load())()
		if _, err := io.WriteString(conn, out); err != nil || out == "" {
			return
		}
		if f.hang.Load() {
			_, _ = conn.Read(head) // until the other side closes
			return
		}
	}
}

func TestSessionsAreThoseOfStats(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string
		want   int
		err    string
	}{
		"all of them":                       {answer: stats("17", "3"), want: 17},
		"none":                              {answer: stats("0", "0"), want: 0},
		"counted while half-open ones come": {answer: stats("17", "19"), want: 19},
		"the most":                          {answer: stats("2147483647", "0"), want: 1<<31 - 1},
		"too many":                          {answer: stats("2147483648", "0"), err: `ikesas.total: "2147483648" is not a whole number from 0 to 2147483647`},
		"negative":                          {answer: stats("3", "-1"), err: `ikesas.half-open: "-1" is not a whole number`},
		"not a number":                      {answer: stats("many", "0"), err: `ikesas.total: "many" is not a whole number`},
		"empty":                             {answer: stats("", "0"), err: `ikesas.total: "" is not a whole number`},
		"a long and dirty value":            {answer: stats(strings.Repeat("\x1b", 1000), "0"), err: `ikesas.total: "\x1b\x1b`},
		"no section":                        {answer: message(value("success", "yes")), err: "the answer to stats has no section ikesas"},
		"a value in place of the section":   {answer: message(value("ikesas", "5")), err: "the answer to stats has no section ikesas"},
		"no total":                          {answer: message(section("ikesas", value("half-open", "0"))), err: "the answer to stats has no ikesas.total"},
		"a section in place of a number":    {answer: message(section("ikesas", section("total"), value("half-open", "0"))), err: "the answer to stats has no ikesas.total"},
		"refused":                           {answer: message(value("success", "no"), value("errmsg", "not now")), err: "not now"},
		"an unknown command":                {answer: "\x00\x00\x00\x01\x02", err: "unexpected response type"},
		"closed":                            {answer: "", err: "the connection was closed"},
		"cut off in the length":             {answer: "\x00\x00", err: "no answer to stats: context deadline exceeded"},
		"garbage":                           {answer: "\x00\x00\x00\x05\x01\x03\xffab", err: "VICI unix:"},
		"an empty message":                  {answer: "\x00\x00\x00\x00", err: "VICI unix:"},
		"a message of 4 GB":                 {answer: "\xff\xff\xff\xff", err: "a message of 4294967295 octets, more than 65536"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeCharon(t, func() string { return tc.answer })
			f.hang.Store(tc.err == "no answer to stats: context deadline exceeded")
			v := NewVICI("unix", f.path)
			defer v.Close()
			patience := 20 * time.Second
			if f.hang.Load() {
				patience = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			got, err := v.Sessions(ctx)
			switch {
			case tc.err == "" && (err != nil || got != tc.want):
				t.Errorf("want %d, got %d, %v", tc.want, got, err)
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err) || !strings.Contains(err.Error(), "VICI unix:"+f.path)):
				t.Errorf("want an error that names the socket and says %q, got %v", tc.err, err)
			}
		})
	}
}

func TestAClaimedLengthAllocatesNothing(t *testing.T) {
	f := newFakeCharon(t, func() string { return "\xf0\x00\x00\x00" })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := NewVICI("unix", f.path).Sessions(t.Context()); err == nil {
		t.Error("want an error")
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
		t.Errorf("allocated %d octets", got)
	}
}

func TestAConnectionIsKeptWhileAllIsWell(t *testing.T) {
	f := newFakeCharon(t, func() string { return stats("1", "0") })
	v := NewVICI("unix", f.path)
	defer v.Close()
	for range 5 {
		if _, err := v.Sessions(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.conns.Load(); got != 1 {
		t.Errorf("want 1 connection, got %d", got)
	}
	broken := func() string { return stats("x", "0") }
	f.answer.Store(&broken)
	if _, err := v.Sessions(t.Context()); err == nil {
		t.Error("want an error")
	}
	good := func() string { return stats("2", "0") }
	f.answer.Store(&good)
	if n, err := v.Sessions(t.Context()); n != 2 || err != nil || f.conns.Load() != 2 {
		t.Errorf("want 2 over a new connection, got %d, %v, %d connections", n, err, f.conns.Load())
	}
}

func TestNobodyListens(t *testing.T) {
	v := NewVICI("unix", filepath.Join(t.TempDir(), "vici"))
	if _, err := v.Sessions(t.Context()); err == nil || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("got %v", err)
	}
}

func TestGarbageOverVICIIsAnErrorAndNeverACrash(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sound := stats("17", "3")
	f := newFakeCharon(t, func() string {
		b := []byte(sound)
		for range 1 + random.IntN(4) {
			b[4+random.IntN(len(b)-4)] = byte(random.Uint32())
		}
		return string(b[:4+random.IntN(len(b)-3)]) + "\x00\x00\x00\x01\x07"
	})
	v := NewVICI("unix", f.path)
	defer v.Close()
	for range 300 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		n, err := v.Sessions(ctx)
		if err == nil && (n < 0 || n > maxFigure) {
			t.Errorf("got %d", n)
		}
		cancel()
	}
}

func TestFailuresLeaveNoGoroutines(t *testing.T) {
	f := newFakeCharon(t, func() string { return stats("1", "0")[:20] })
	f.hang.Store(true)
	before := runtime.NumGoroutine()
	v := NewVICI("unix", f.path)
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, err := v.Sessions(ctx); err == nil {
			t.Error("want an error")
		}
		cancel()
	}
	eventually(t, "all have ended", func() bool { return runtime.NumGoroutine() <= before })
}

// scripted is a connection that gives each chunk to one read.
type scripted struct {
	net.Conn
	chunks [][]byte
}

func (s *scripted) Read(b []byte) (int, error) {
	if len(s.chunks) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.chunks[0])
	if s.chunks[0] = s.chunks[0][n:]; len(s.chunks[0]) == 0 {
		s.chunks = s.chunks[1:]
	}
	return n, nil
}

func TestFramesPassMessagesInAnyPieces(t *testing.T) {
	stream := []byte(stats("1", "2") + "\x00\x00\x00\x00" + stats("30", "4"))
	for size := 1; size <= len(stream); size++ {
		s := &scripted{}
		for rest := stream; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			s.chunks = append(s.chunks, bytes.Clone(rest[:min(size, len(rest))]))
		}
		got, err := io.ReadAll(&frames{Conn: s})
		if err == nil || err.Error() != "the connection was closed" || !bytes.Equal(got, stream) {
			t.Errorf("pieces of %d: got %q, %v", size, got, err)
		}
	}
	for _, cut := range []int{1, 3, 4, 10} {
		_, err := io.ReadAll(&frames{Conn: &scripted{chunks: [][]byte{stream[:cut]}}})
		if err == nil || err.Error() != "the connection was closed in the middle of a message" {
			t.Errorf("cut after %d: got %v", cut, err)
		}
	}
}

func TestVICIAddresses(t *testing.T) {
	for s, want := range map[string]string{
		"unix:/run/charon.vici":             "unix /run/charon.vici",
		"tcp:198.51.100.11:4502":            "tcp 198.51.100.11:4502",
		"tcp:[2001:db8::1]:4502":            "tcp [2001:db8::1]:4502",
		"tcp:gw1.example.net:4502":          "tcp gw1.example.net:4502",
		"":                                  `VICI address "" is neither unix:PATH nor tcp:HOST:PORT`,
		"/run/charon.vici":                  "is neither unix:PATH nor tcp:HOST:PORT",
		"udp:192.0.2.1:1":                   "is neither unix:PATH nor tcp:HOST:PORT",
		"unix:charon.vici":                  "the path is not absolute, or longer than 107 octets",
		"unix:/" + strings.Repeat("x", 107): "the path is not absolute, or longer than 107 octets",
		"tcp:198.51.100.11":                 `"198.51.100.11" is not HOST:PORT`,
		"tcp::4502":                         `":4502" is not HOST:PORT`,
		"tcp:gw1:0":                         `"gw1:0" is not HOST:PORT`,
		"tcp:gw1:70000":                     `"gw1:70000" is not HOST:PORT`,
		"tcp:gw1:vici":                      `"gw1:vici" is not HOST:PORT`,
	} {
		network, address, err := ParseAddress(s)
		got := network + " " + address
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: want %q, got %q", s, want, got)
		}
	}
}
