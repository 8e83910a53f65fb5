package bgp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// octetsOf is hexadecimal text as octets; spaces in it are for the eye.
func octetsOf(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// ones is a marker.
const ones = "ffffffffffffffffffffffffffffffff "

// compareRefusals lets go-cmp look into refusals.
var compareRefusals = cmp.AllowUnexported(refusal{})

func TestReadMessageReturnsOneAfterTheOther(t *testing.T) {
	stream := octetsOf(ones + "001304" + ones + "0017020000 0000" + ones + "001304")
	for name, r := range map[string]io.Reader{
		"at once":          bytes.NewReader(stream),
		"octet by octet":   iotest.OneByteReader(bytes.NewReader(stream)),
		"with a late EOF":  iotest.DataErrReader(bytes.NewReader(stream)),
		"in halves of all": iotest.HalfReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			var buf [maxLength]byte
			var got []byte
			for range 3 {
				m, err := readMessage(r, &buf)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, m...)
			}
			if diff := cmp.Diff(stream, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if _, err := readMessage(r, &buf); err != io.EOF {
				t.Errorf("want io.EOF, got %v", err)
			}
		})
	}
}

func TestReadMessageRefusesWhatIsNoMessage(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want *refusal
	}{
		"a marker with a zero":            {"fffffffffffffffffffffffffffffffe 001304", &refusal{1, 1, nil, "what it sends is not BGP: no marker of sixteen octets of ones"}},
		"HTTP":                            {hex.EncodeToString([]byte("GET / HTTP/1.1\r\nHost: x\r\n")), &refusal{1, 1, nil, "what it sends is not BGP: no marker of sixteen octets of ones"}},
		"length 0":                        {ones + "000004", &refusal{1, 2, []byte{0, 0}, "its KEEPALIVE is 0 octets long, not 19"}},
		"length 18":                       {ones + "001204", &refusal{1, 2, []byte{0, 18}, "its KEEPALIVE is 18 octets long, not 19"}},
		"length 4097":                     {ones + "100102", &refusal{1, 2, []byte{16, 1}, "its UPDATE is 4097 octets long, not 23 to 4096"}},
		"length 65535":                    {ones + "ffff01", &refusal{1, 2, []byte{255, 255}, "its OPEN is 65535 octets long, not 29 to 4096"}},
		"a KEEPALIVE with a body":         {ones + "00140400", &refusal{1, 2, []byte{0, 20}, "its KEEPALIVE is 20 octets long, not 19"}},
		"a short OPEN":                    {ones + "001c01", &refusal{1, 2, []byte{0, 28}, "its OPEN is 28 octets long, not 29 to 4096"}},
		"a short UPDATE":                  {ones + "001602", &refusal{1, 2, []byte{0, 22}, "its UPDATE is 22 octets long, not 23 to 4096"}},
		"a short NOTIFICATION":            {ones + "001403", &refusal{1, 2, []byte{0, 20}, "its NOTIFICATION is 20 octets long, not 21 to 4096"}},
		"a short ROUTE-REFRESH":           {ones + "001605", &refusal{1, 2, []byte{0, 22}, "its ROUTE-REFRESH is 22 octets long, not 23 to 4096"}},
		"type 0":                          {ones + "001300", &refusal{1, 3, []byte{0}, "its message is of type 0, which BGP does not have"}},
		"type 6":                          {ones + "001306", &refusal{1, 3, []byte{6}, "its message is of type 6, which BGP does not have"}},
		"type 9, the crash of GoBGP":      {ones + "001309", &refusal{1, 3, []byte{9}, "its message is of type 9, which BGP does not have"}},
		"type 255, never waited for":      {ones + "1000ff", &refusal{1, 3, []byte{255}, "its message is of type 255, which BGP does not have"}},
		"an unknown type of a bad length": {ones + "001209", &refusal{1, 2, []byte{0, 18}, "its message of type 9 is 18 octets long, not 19 to 4096"}},
	} {
		t.Run(name, func(t *testing.T) {
			var buf [maxLength]byte
			m, err := readMessage(bytes.NewReader(octetsOf(tc.in)), &buf)
			var got *refusal
			if !errors.As(err, &got) || m != nil || err.Error() != tc.want.reason {
				t.Fatalf("want a refusal, got %v and %x", err, m)
			}
			if diff := cmp.Diff(tc.want, got, compareRefusals); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadMessagePassesErrorsOfTheConnectionOn(t *testing.T) {
	broken := errors.New("connection reset")
	for name, tc := range map[string]struct {
		in   string
		end  error
		want error
	}{
		"nothing":                {"", io.EOF, io.EOF},
		"half a header":          {ones, io.EOF, io.ErrUnexpectedEOF},
		"a header alone":         {ones + "001702", io.EOF, io.ErrUnexpectedEOF},
		"half a body":            {ones + "0017020000", io.EOF, io.ErrUnexpectedEOF},
		"an error in the header": {ones, broken, broken},
		"an error in the body":   {ones + "0017020000", broken, broken},
	} {
		t.Run(name, func(t *testing.T) {
			var buf [maxLength]byte
			r := io.MultiReader(bytes.NewReader(octetsOf(tc.in)), iotest.ErrReader(tc.end))
			if _, err := readMessage(r, &buf); err != tc.want {
				t.Errorf("want %v, got %v", tc.want, err)
			}
		})
	}
}

func TestReadMessageAllocatesNothing(t *testing.T) {
	stream := newMessage(updateKind, make([]byte, maxLength-headerLength)...)
	r, buf := bytes.NewReader(nil), new([maxLength]byte)
	if got := testing.AllocsPerRun(100, func() {
		r.Reset(stream)
		if m, err := readMessage(r, buf); err != nil || len(m) != maxLength {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("want no allocation, got %v", got)
	}
}

func TestARefreshIsAnOrdinaryRequestForAFamilyOfOurs(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want Families
	}{
		"IPv4 unicast":                        {"0001 00 01", IPv4Unicast},
		"IPv6 unicast":                        {"0002 00 01", IPv6Unicast},
		"IPv4 multicast":                      {"0001 00 02", 0},
		"EVPN":                                {"0019 00 46", 0},
		"unicast of an AFI of two octets":     {"0101 00 01", 0},
		"begin of refresh":                    {"0001 01 01", 0},
		"end of refresh":                      {"0001 02 01", 0},
		"another subtype":                     {"0001 ff 01", 0},
		"with an outbound route filter":       {"0001 00 01 01 40 0000", 0},
		"too short, as readMessage lets none": {"0001", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseRefresh(newMessage(refreshKind, octetsOf(tc.body)...))
			if got != tc.want || ok != (tc.want != 0) {
				t.Errorf("want %v, got %v, %v", tc.want, got, ok)
			}
		})
	}
}

// FuzzReadMessage: whatever comes, what is returned is a whole message of a
// known type, just as it was in the stream.
func FuzzReadMessage(f *testing.F) {
	f.Add(octetsOf(ones + "001304" + ones + "00170200000000"))
	f.Add(octetsOf(ones + "001309"))
	f.Add(octetsOf(ones + "ffff04"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var buf [maxLength]byte
		r, rest := bytes.NewReader(in), in
		for {
			m, err := readMessage(r, &buf)
			if err != nil {
				return
			}
			if len(m) < headerLength || len(m) > maxLength || m.kind() < openKind || m.kind() > refreshKind || !bytes.HasPrefix(rest, m) {
				t.Fatalf("took %x for a message of %x", m, rest)
			}
			rest = rest[len(m):]
		}
	})
}
