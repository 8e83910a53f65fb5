package dnspub

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	miekgdns "github.com/miekg/dns"
)

// toUpdates answers questions with nothing and updates with a code.
func toUpdates(rcode int) miekgdns.HandlerFunc {
	return func(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
		if req.Opcode == miekgdns.OpcodeUpdate {
			w.WriteMsg(answer(req, rcode))
			return
		}
		w.WriteMsg(answer(req, miekgdns.RcodeNameError))
	}
}

// toAll answers everything with a code.
func toAll(rcode int) miekgdns.HandlerFunc {
	return func(w miekgdns.ResponseWriter, req *miekgdns.Msg) { w.WriteMsg(answer(req, rcode)) }
}

// withTSIGError answers NOTAUTH with a TSIG error and other data.
func withTSIGError(code uint16, data string) miekgdns.HandlerFunc {
	return func(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
		m := answer(req, miekgdns.RcodeNotAuth)
		t := m.IsTsig()
		t.Error, t.OtherData, t.OtherLen = code, data, uint16(len(data)/2)
		w.WriteMsg(m)
	}
}

func TestWhatAServerMayAnswerReachesTheOperator(t *testing.T) {
	for name, tc := range map[string]struct {
		handler miekgdns.HandlerFunc
		want    string
	}{
		"a lie":                          {toUpdates(miekgdns.RcodeSuccess), "it answered NOERROR to the update, but it does not hold 203.0.113.1"},
		"an update refused":              {toUpdates(miekgdns.RcodeRefused), "does not grant key anycastd. this update (REFUSED)"},
		"an update for another zone":     {toUpdates(miekgdns.RcodeNotZone), "(NOTZONE)"},
		"an update for another server":   {toUpdates(miekgdns.RcodeNotAuth), "is not the primary of this zone (NOTAUTH)"},
		"an update that went wrong":      {toUpdates(miekgdns.RcodeServerFailure), "could not do it (SERVFAIL)"},
		"no updates at all":              {toUpdates(miekgdns.RcodeNotImplemented), "no dynamic updates (NOTIMP)"},
		"an update not understood":       {toUpdates(miekgdns.RcodeFormatError), "the server answered FORMERR"},
		"an update to an NXDOMAIN":       {toUpdates(miekgdns.RcodeNameError), "the server answered NXDOMAIN"},
		"a code without a name":          {toUpdates(13), "the server answered with code 13"},
		"a question refused":             {toAll(miekgdns.RcodeRefused), "answer us questions about this zone (REFUSED)"},
		"a zone not loaded":              {toAll(miekgdns.RcodeServerFailure), "has it loaded the zone?"},
		"a zone not there":               {toAll(miekgdns.RcodeNotAuth), "does not have this zone (NOTAUTH)"},
		"a question not understood":      {toAll(miekgdns.RcodeFormatError), "the server answered FORMERR"},
		"BADKEY":                         {withTSIGError(miekgdns.RcodeBadKey, ""), "does not know key anycastd. with algorithm hmac-sha256 (BADKEY)"},
		"BADSIG":                         {withTSIGError(miekgdns.RcodeBadSig, ""), "the secret of key anycastd. is not the one that the server has (BADSIG)"},
		"BADTIME":                        {withTSIGError(miekgdns.RcodeBadTime, "000000000000"), "this host's is ahead; 300 s are allowed (BADTIME)"},
		"BADTIME without time":           {withTSIGError(miekgdns.RcodeBadTime, ""), "the clocks of this host and of the server differ too much (BADTIME)"},
		"BADTRUNC":                       {withTSIGError(miekgdns.RcodeBadTrunc, ""), "wants longer signatures of key anycastd. (BADTRUNC)"},
		"no signature":                   {unsigned, "the answer is not signed with key anycastd., as the request was"},
		"a signature with another key":   {signedWith("other.", miekgdns.HmacSHA256), "the answer is not signed with key anycastd. as it should be"},
		"a signature that is another's":  {spoilt, "the answer is not signed with key anycastd. as it should be"},
		"an answer to another message":   {anotherID, "what came is not an answer to the request"},
		"the question instead":           {echo, "what came is not an answer to the request"},
		"an alias where addresses go":    {alias, "the name is an alias of elsewhere.example.net. (CNAME)"},
		"a TTL that it does not take up": {stubborn, "it answered NOERROR to the update, but 203.0.113.1 has a TTL of 60 s, not 300 s"},
	} {
		t.Run(name, func(t *testing.T) {
			p := publisher(t, serve(t, "127.0.0.1:0", tc.handler), testKey())
			err := p.Set(t.Context(), []Record{record("203.0.113.1")})
			contains(t, err, "zone example.test., vpn.example.test. A: server "+p.cfg.Server+": ", tc.want)
			if s := p.Status(); len(s) != 1 || s[0].Published || !strings.Contains(s[0].Reason, tc.want) {
				t.Errorf("want the status to say the same, got %v", s)
			}
		})
	}
}

func unsigned(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
	m := new(miekgdns.Msg)
	m.SetRcode(req, miekgdns.RcodeSuccess)
	w.WriteMsg(m)
}

func signedWith(key, algorithm string) miekgdns.HandlerFunc {
	return func(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
		m := answer(req, miekgdns.RcodeSuccess)
		m.Extra = nil
		m.SetTsig(key, algorithm, fudge, time.Now().Unix())
		raw, _, err := miekgdns.TsigGenerate(m, otherSecret, req.IsTsig().MAC, false)
		if err != nil {
			panic(err)
		}
		w.Write(raw)
	}
}

func spoilt(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
	signedWith("anycastd.", miekgdns.HmacSHA256)(w, req)
}

func anotherID(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
	m := new(miekgdns.Msg)
	m.SetRcode(req, miekgdns.RcodeSuccess)
	m.Id++
	w.WriteMsg(m)
}

func echo(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
	m := answer(req, miekgdns.RcodeSuccess)
	m.Response = false
	w.WriteMsg(m)
}

func alias(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
	w.WriteMsg(answer(req, miekgdns.RcodeSuccess, name+" 300 CNAME elsewhere.example.net.", "elsewhere.example.net. 300 A 203.0.113.1"))
}

func stubborn(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
	w.WriteMsg(answer(req, miekgdns.RcodeSuccess, name+" 60 A 203.0.113.1"))
}

// raw serves TCP connections by f until the end of the test.
func raw(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); f(c) }()
		}
	}()
	return l.Addr().String()
}

// silent takes what comes and answers nothing.
func silent(c net.Conn) { io.Copy(io.Discard, c) }

func TestAServerThatDoesNotTalkIsAskedOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		f    func(net.Conn)
		want string
	}{
		"silent": {silent, "no answer within 300ms"},
		"closes": {func(c net.Conn) { c.Read(make([]byte, 512)) }, "the server closed the connection without an answer"},
		"garbage": {func(c net.Conn) {
			req := make([]byte, 512)
			c.Read(req)
			c.Write([]byte{0, 14, req[2], req[3], 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12}) // a name that points to itself
			silent(c)
		}, "unreadable answer"},
		"another protocol": {func(c net.Conn) { c.Write([]byte("\x00\x0cSSH-2.0-None")); silent(c) }, "what came is not an answer to the request"},
		"half":             {func(c net.Conn) { c.Read(make([]byte, 512)); c.Write([]byte{0, 99, 1}) }, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			p := publisher(t, raw(t, func(c net.Conn) { calls.Add(1); tc.f(c) }), testKey())
			p.cfg.Timeout = 300 * time.Millisecond
			err := p.Set(t.Context(), []Record{record("203.0.113.1"), record("2001:db8:a::1")})
			contains(t, err, "zone example.test., vpn.example.test. A: server "+p.cfg.Server+": ", tc.want)
			if n := calls.Load(); n != 1 {
				t.Errorf("want one call, got %d", n)
			}
			if s := p.Status(); len(s) != 2 || s[1].Published || !strings.Contains(s[1].Reason, tc.want) {
				t.Errorf("want the reason for both types, got %v", s)
			}
		})
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p := publisher(t, l.Addr().String(), testKey())
	contains(t, p.Set(t.Context(), []Record{record("203.0.113.1")}),
		"zone example.test., vpn.example.test. A: server "+p.cfg.Server+": no connection: connect: connection refused")
}

func TestSetEndsWithItsContext(t *testing.T) {
	p := publisher(t, raw(t, silent), testKey())
	p.cfg.Timeout = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Set(ctx, []Record{record("203.0.113.1")}); err == nil {
		t.Error("want an error")
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if err := p.Set(ctx, []Record{record("203.0.113.1")}); !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, got %v", context.Canceled, err)
	}
}

// The fate of an update that brought no answer is found out, not guessed.
func TestAnUpdateWhoseAnswerIsLostCountsIfItWorked(t *testing.T) {
	for name, works := range map[string]bool{"it worked": true, "it did not": false} {
		t.Run(name, func(t *testing.T) {
			var held atomic.Bool
			p := publisher(t, serve(t, "127.0.0.1:0", func(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
				switch {
				case req.Opcode == miekgdns.OpcodeUpdate:
					held.Store(works)
					w.Close()
				case held.Load():
					w.WriteMsg(answer(req, miekgdns.RcodeSuccess, name300))
				default:
					w.WriteMsg(answer(req, miekgdns.RcodeSuccess))
				}
			}), testKey())
			err := p.Set(t.Context(), []Record{record("203.0.113.1")})
			if works != (err == nil) {
				t.Errorf("want an error: %v, got %v", !works, err)
			}
			if s := p.Status(); len(s) != 1 || s[0].Published != works {
				t.Errorf("want published %v, got %v", works, s)
			}
		})
	}
}

const name300 = name + " 300 A 203.0.113.1"

func TestARemovalThatFailedIsTriedAgain(t *testing.T) {
	var refuse, held atomic.Bool
	p := publisher(t, serve(t, "127.0.0.1:0", func(w miekgdns.ResponseWriter, req *miekgdns.Msg) {
		switch {
		case req.Opcode == miekgdns.OpcodeUpdate && refuse.Load():
			w.WriteMsg(answer(req, miekgdns.RcodeRefused))
		case req.Opcode == miekgdns.OpcodeUpdate:
			held.Store(req.Ns[0].Header().Class == miekgdns.ClassINET) // an insertion
			w.WriteMsg(answer(req, miekgdns.RcodeSuccess))
		case held.Load():
			w.WriteMsg(answer(req, miekgdns.RcodeSuccess, name300))
		default:
			w.WriteMsg(answer(req, miekgdns.RcodeSuccess))
		}
	}), testKey())
	set(t, p, record("203.0.113.1"))
	refuse.Store(true)
	contains(t, p.Set(t.Context(), nil), "(REFUSED)")
	if s := p.Status(); len(s) != 1 || s[0].Published || len(s[0].Want) != 0 {
		t.Errorf("want the removal outstanding, got %v", s)
	}
	refuse.Store(false)
	set(t, p)
	if s := p.Status(); len(s) != 0 || held.Load() {
		t.Errorf("want it removed, got %v, %v", held.Load(), s)
	}
}

func TestAKeyThatCannotSignIsReported(t *testing.T) {
	for name, tc := range map[string]struct {
		key  TSIG
		want string
	}{
		"an algorithm of old":        {TSIG{Name: "k", Algorithm: "hmac-md5", Secret: secret}, "zone example.test.: key k.: the algorithm is none of hmac-sha1"},
		"a secret that is no base64": {TSIG{Name: "k", Secret: "not base64!"}, "zone example.test.: key k.: the secret is not base64"},
		"no secret":                  {TSIG{Name: "k"}, "the secret is not base64"},
		"a name that is none":        {TSIG{Name: "a..b", Secret: secret}, `key "a..b.": not a domain name`},
	} {
		t.Run(name, func(t *testing.T) {
			p := publisher(t, "127.0.0.1:1", tc.key)
			err := p.Set(t.Context(), []Record{record("203.0.113.1")})
			contains(t, err, tc.want)
			if strings.Contains(err.Error(), "not base64!") {
				t.Errorf("want the secret kept, got %v", err)
			}
			if s := p.Status(); len(s) != 1 || s[0].Published || !strings.Contains(err.Error(), s[0].Reason) {
				t.Errorf("want the status to say the same, got %v", s)
			}
		})
	}
}
