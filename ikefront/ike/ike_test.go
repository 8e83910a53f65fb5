package ike

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var addrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func nonce(n int) []byte { return bytes.Repeat([]byte{0xA5}, n) }

// request returns a plain request of a client that supports redirect.
func request() Init {
	return Init{SPIi: 0x0102030405060708, Nonce: nonce(32), Group: 31, KE: bytes.Repeat([]byte{7}, 32), Supported: true}
}

func TestParseRequestReadsWhatInitWrites(t *testing.T) {
	for name, tc := range map[string]struct {
		init Init
		want Request
	}{
		"REDIRECT_SUPPORTED": {request(), Request{Nonce: nonce(32), Supported: true}},
		"no support": {
			Init{SPIi: 1, Nonce: nonce(16), Group: 31, KE: nonce(32)},
			Request{Nonce: nonce(16)},
		},
		"REDIRECTED_FROM instead of REDIRECT_SUPPORTED, as strongSwan sends it": {
			Init{SPIi: 1, Nonce: nonce(256), Group: 19, KE: nonce(64), From: netip.MustParseAddr("203.0.113.1")},
			Request{Nonce: nonce(256), Supported: true, From: netip.MustParseAddr("203.0.113.1")},
		},
		"nothing that could be accepted": {
			Init{SPIi: 1, Nonce: nonce(32), Group: 31, KE: nonce(32), Unacceptable: true},
			Request{Nonce: nonce(32)},
		},
		"cookie first, both notifies, IPv6": {
			Init{SPIi: 1, Nonce: nonce(32), Group: 14, KE: nonce(256), Cookie: []byte("c"), Supported: true, From: netip.MustParseAddr("2001:db8::1")},
			Request{Nonce: nonce(32), Supported: true, Cookie: []byte("c"), From: netip.MustParseAddr("2001:db8::1")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseRequest(tc.init.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			tc.want.SPIi = tc.init.SPIi
			if diff := cmp.Diff(tc.want, got, addrs, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

// edit returns the plain request changed by f.
func edit(f func([]byte) []byte) []byte { return f(request().Append(nil)) }

// set returns the plain request with octets from i on replaced.
func set(i int, v ...byte) []byte {
	return edit(func(b []byte) []byte { copy(b[i:], v); return b })
}

// with returns the plain request with a payload of type kind put first.
func with(kind, flags byte, body []byte) []byte {
	return edit(func(b []byte) []byte {
		p := append([]byte{b[16], flags, byte((len(body) + 4) >> 8), byte(len(body) + 4)}, body...)
		b[16] = kind
		b = append(b[:HeaderLen:HeaderLen], append(p, b[HeaderLen:]...)...)
		setLength(b)
		return b
	})
}

func TestParseRequestNamesTheFault(t *testing.T) {
	whole := request().Append(nil)
	nonceAt := bytes.Index(whole, append([]byte{PayloadNotify, 0, 0, 36}, nonce(32)...))
	many := whole
	for range MaxPayloads {
		many = append(many[:HeaderLen:HeaderLen], append([]byte{many[16], 0, 0, 4}, many[HeaderLen:]...)...)
		many[16] = 43
	}
	setLength(many)
	for name, tc := range map[string]struct {
		in   []byte
		want Fault
	}{
		"nothing":                          {nil, Short},
		"27 octets":                        {whole[:27], Short},
		"IKEv1":                            {set(17, 0x10), OldVersion},
		"version 3":                        {set(17, 0x30), NewVersion},
		"version 3 in a response":          {set(17, 0x30, 34, 0x28), IsResponse},
		"response":                         {set(19, 0x20), IsResponse},
		"IKE_AUTH":                         {set(18, 35), OtherExchange},
		"not from the initiator":           {set(19, 0), BadHeader},
		"message id 1":                     {set(23, 1), BadHeader},
		"SPIi 0":                           {set(0, 0, 0, 0, 0, 0, 0, 0, 0), BadHeader},
		"SPIr 1":                           {set(15, 1), BadHeader},
		"length too small":                 {set(27, 28), BadLength},
		"length huge":                      {set(24, 0xFF, 0xFF, 0xFF, 0xFF), BadLength},
		"cut in the last payload":          {edit(func(b []byte) []byte { b = b[:len(b)-1]; setLength(b); return b }), BadPayload},
		"octets after the last payload":    {edit(func(b []byte) []byte { b = append(b, 0); setLength(b); return b }), BadPayload},
		"a header alone":                   {edit(func(b []byte) []byte { b = b[:28]; setLength(b); return b }), BadPayload},
		"a header alone, no payload":       {edit(func(b []byte) []byte { b = b[:28]; b[16] = 0; setLength(b); return b }), Incomplete},
		"payload length 0 would loop":      {set(30, 0, 0), BadPayload},
		"payload length 3":                 {set(30, 0, 3), BadPayload},
		"payload beyond the message":       {set(30, 0xFF, 0xFF), BadPayload},
		"nonce of 15 octets":               {Init{SPIi: 1, Nonce: nonce(15), KE: nonce(32)}.Append(nil), BadPayload},
		"nonce of 257 octets":              {Init{SPIi: 1, Nonce: nonce(257), KE: nonce(32)}.Append(nil), BadPayload},
		"two nonces":                       {with(PayloadNonce, 0, nonce(32)), Incomplete},
		"two SAs":                          {with(PayloadSA, 0, nonce(8)), Incomplete},
		"two KEs":                          {with(PayloadKE, 0, nonce(36)), Incomplete},
		"KE without a key":                 {with(PayloadKE, 0, nonce(4)), BadPayload},
		"no nonce":                         {set(nonceAt-40, 43), Incomplete},
		"encrypted payload":                {with(PayloadSK, 0, nonce(40)), BadPayload},
		"encrypted fragment":               {with(PayloadSKF, 0, nonce(40)), BadPayload},
		"unknown critical payload":         {with(200, 0x80, nonce(4)), Critical},
		"notify of 3 octets":               {with(PayloadNotify, 0, nonce(3)), BadPayload},
		"notify with an SPI beyond itself": {with(PayloadNotify, 0, []byte{0, 9, 0x40, 0x16, 1}), BadPayload},
		"empty cookie":                     {with(PayloadNotify, 0, []byte{0, 0, 0x40, 0x06}), BadPayload},
		"cookie of 65 octets":              {with(PayloadNotify, 0, append([]byte{0, 0, 0x40, 0x06}, nonce(65)...)), BadPayload},
		"REDIRECTED_FROM without data":     {with(PayloadNotify, 0, []byte{0, 0, 0x40, 0x18}), BadPayload},
		"REDIRECTED_FROM with 5 octets":    {with(PayloadNotify, 0, []byte{0, 0, 0x40, 0x18, 1, 5, 1, 2, 3, 4, 5}), BadPayload},
		"REDIRECTED_FROM with more behind": {with(PayloadNotify, 0, []byte{0, 0, 0x40, 0x18, 1, 4, 1, 2, 3, 4, 5}), BadPayload},
		"REDIRECTED_FROM of type 0":        {with(PayloadNotify, 0, []byte{0, 0, 0x40, 0x18, 0, 4, 1, 2, 3, 4}), BadPayload},
		"129 payloads and more":            {many, ManyPayloads},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := ParseRequest(tc.in); got != tc.want {
				t.Errorf("want %q, got %v", tc.want, got)
			}
		})
	}
}

func TestParseRequestTakesWhatItNeedNotKnow(t *testing.T) {
	for name, in := range map[string][]byte{
		"minor version 15":                      set(17, 0x2F),
		"reserved and version flags":            set(19, 0x08|0x10|0x01),
		"a vendor ID":                           with(43, 0, nonce(8)),
		"an unknown payload, not critical":      with(200, 0, nonce(8)),
		"a known payload with the critical bit": with(43, 0x80, nonce(8)),
		"reserved payload bits":                 with(43, 0x7F, nonce(8)),
		"an unknown notify":                     with(PayloadNotify, 0, []byte{0, 0, 0x9C, 0x40, 1, 2}),
		"REDIRECTED_FROM by name":               with(PayloadNotify, 0, []byte{0, 0, 0x40, 0x18, 3, 2, 'g', 'w'}),
		"a notify with an SPI":                  with(PayloadNotify, 0, []byte{3, 4, 0x9C, 0x40, 1, 2, 3, 4, 9}),
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := ParseRequest(in); err != nil || !r.Supported {
				t.Errorf("want a supported request, got %+v, %v", r, err)
			}
		})
	}
}

func TestACookieCountsOnlyAsTheFirstPayload(t *testing.T) {
	cookie := []byte{0, 0, 0x40, 0x06, 1, 2, 3}
	first, err := ParseRequest(with(PayloadNotify, 0, cookie))
	if err != nil || !bytes.Equal(first.Cookie, cookie[4:]) {
		t.Errorf("first: want the cookie, got %x, %v", first.Cookie, err)
	}
	in := with(PayloadNotify, 0, cookie)
	in = append(in[:HeaderLen:HeaderLen], append([]byte{PayloadNotify, 0, 0, 4}, in[HeaderLen:]...)...)
	in[16] = 43
	setLength(in)
	second, err := ParseRequest(in)
	if err != nil || second.Cookie != nil {
		t.Errorf("second: want no cookie, got %x, %v", second.Cookie, err)
	}
}

// TestAppendRedirectOctetByOctet holds the layout of RFC 5685 section 9.2.
func TestAppendRedirectOctetByOctet(t *testing.T) {
	const head = "0102030405060708 0000000000000000 29 20 22 20 00000000 "
	n16 := strings.Repeat("a5", 16)
	for name, tc := range map[string]struct {
		to   GatewayID
		want string
	}{
		"IPv4": {GatewayID{Addr: netip.MustParseAddr("198.51.100.11")}, head + "0000003a 00 00 001e 00 00 4017 01 04 c633640b" + n16},
		"IPv6": {GatewayID{Addr: netip.MustParseAddr("2001:db8:1::11")}, head + "00000046 00 00 002a 00 00 4017 02 10 20010db8000100000000000000000011" + n16},
		"FQDN": {GatewayID{FQDN: "gw1.example"}, head + "00000041 00 00 0025 00 00 4017 03 0b" + hex.EncodeToString([]byte("gw1.example")) + n16},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := hex.DecodeString(strings.ReplaceAll(tc.want, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			r := &Request{SPIi: 0x0102030405060708, Nonce: nonce(16)}
			got := AppendRedirect(nil, r, tc.to)
			if diff := cmp.Diff(hex.EncodeToString(want), hex.EncodeToString(got)); diff != "" {
				t.Errorf("redirect (-want +got):\n%s", diff)
			}
			resp, err := ParseResponse(got, r.SPIi)
			if err != nil {
				t.Fatal(err)
			}
			to, echoed, ok := resp.Redirect()
			if !ok || to != tc.to || !bytes.Equal(echoed, r.Nonce) {
				t.Errorf("want %v and the nonce, got %v, %x, %v", tc.to, to, echoed, ok)
			}
		})
	}
}

func TestAppendNotifyAnswersARequestOfAnotherVersion(t *testing.T) {
	h, _ := ParseHeader(AppendAliveProbe(nil, 0x1122334455667788))
	got := hex.EncodeToString(AppendNotify(nil, h, InvalidMajorVersion, nil))
	want := "1122334455667788" + "0000000000000000" + "29202220" + "00000000" + "00000024" + "0000000800000005"
	if got != want {
		t.Errorf("want %s, got %s", want, got)
	}
}

func TestAppendAliveProbeIs36Octets(t *testing.T) {
	got := hex.EncodeToString(AppendAliveProbe(nil, 1))
	want := "0000000000000001" + "0000000000000000" + "29302208" + "00000000" + "00000024" + "0000000800009c40"
	if got != want {
		t.Errorf("want %s, got %s", want, got)
	}
	if _, err := ParseRequest(AppendAliveProbe(nil, 1)); err != NewVersion {
		t.Errorf("want %q, got %v", NewVersion, err)
	}
}

// TestAnUnacceptableInitOctetByOctet holds the layout of RFC 7296 sections 3.1
// to 3.4 and 3.9.
func TestAnUnacceptableInitOctetByOctet(t *testing.T) {
	got := hex.EncodeToString(Init{SPIi: 1, Nonce: nonce(16), Group: 31, KE: bytes.Repeat([]byte{7}, 32), Unacceptable: true}.Append(nil))
	want := "0000000000000001" + "0000000000000000" + "21202208" + "00000000" + "00000084" +
		"2200002c" + "00000028" + "01010004" + "03000008010003e7" + "0300000802000005" + "030000080300000c" + "000000080400001f" +
		"28000028" + "001f0000" + strings.Repeat("07", 32) +
		"00000014" + strings.Repeat("a5", 16)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestParseResponseNamesTheFault(t *testing.T) {
	r := &Request{SPIi: 9, Nonce: nonce(16)}
	whole := AppendRedirect(nil, r, GatewayID{FQDN: "gw"})
	change := func(i int, v byte) []byte { b := bytes.Clone(whole); b[i] = v; return b }
	for name, tc := range map[string]struct {
		in   []byte
		want Fault
	}{
		"nothing":           {nil, Short},
		"a request":         {change(19, 0x08), IsRequest},
		"another SPIi":      {change(7, 8), OtherSPI},
		"another length":    {change(27, 99), BadLength},
		"a looping payload": {change(31, 0), BadPayload},
		"more behind":       {change(31, 8), BadPayload},
		"a short notify":    {change(33, 200), BadPayload},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := ParseResponse(tc.in, 9); got != tc.want {
				t.Errorf("want %q, got %v", tc.want, got)
			}
		})
	}
}

func TestAResponseThatIsUsedAgainKeepsNothingOfTheLast(t *testing.T) {
	h, _ := ParseHeader(request().Append(nil))
	short := AppendNotify(nil, h, NoProposalChosen, nil)
	want, err := ParseResponse(short, h.SPIi)
	if err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string][]byte{
		"a longer one":          AppendRedirect(nil, &Request{SPIi: h.SPIi, Nonce: nonce(16)}, GatewayID{FQDN: "gw"}),
		"nothing":               nil,
		"a whole one, then cut": append(bytes.Clone(short), 1),
	} {
		t.Run(name, func(t *testing.T) {
			var got Response
			_ = got.Parse(before, h.SPIi)
			if err := got.Parse(short, h.SPIi); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAResponseWithoutRedirectNamesNoGateway(t *testing.T) {
	h, _ := ParseHeader(request().Append(nil))
	r, err := ParseResponse(AppendNotify(nil, h, NoProposalChosen, nil), h.SPIi)
	if err != nil {
		t.Fatal(err)
	}
	if to, _, ok := r.Redirect(); ok {
		t.Errorf("want none, got %v", to)
	}
}

func TestNamesAreThoseOfTheRegistry(t *testing.T) {
	for n, want := range map[NotifyType]string{
		UnsupportedCriticalPayload: "UNSUPPORTED_CRITICAL_PAYLOAD", InvalidIKESPI: "INVALID_IKE_SPI", InvalidMajorVersion: "INVALID_MAJOR_VERSION",
		InvalidSyntax: "INVALID_SYNTAX", NoProposalChosen: "NO_PROPOSAL_CHOSEN", InvalidKEPayload: "INVALID_KE_PAYLOAD", Cookie: "COOKIE",
		RedirectSupported: "REDIRECT_SUPPORTED", Redirect: "REDIRECT", RedirectedFrom: "REDIRECTED_FROM", 40000: "notify 40000",
	} {
		if got := n.String(); got != want {
			t.Errorf("%d: want %s, got %s", uint16(n), want, got)
		}
	}
	for f := Short; f <= OtherSPI; f++ {
		if f.Error() == "no fault" {
			t.Errorf("fault %d has no words", f)
		}
	}
}

func TestParseAndAppendAllocateNothing(t *testing.T) {
	in := request().Append(nil)
	out := make([]byte, 0, 1500)
	to := GatewayID{Addr: netip.MustParseAddr("198.51.100.11")}
	var answer Response
	if got := testing.AllocsPerRun(1000, func() {
		r, err := ParseRequest(in)
		if err != nil {
			panic(err)
		}
		out = AppendRedirect(out[:0], &r, to)
		if err := answer.Parse(out, r.SPIi); err != nil {
			panic(err)
		}
		_, err = ParseRequest(in[:30])
		if err != BadLength {
			panic(err)
		}
	}); got != 0 {
		t.Errorf("want 0 allocations, got %v", got)
	}
}
