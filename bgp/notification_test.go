package bgp

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestARefusalIsAnsweredWithItsNotification(t *testing.T) {
	for name, tc := range map[string]struct {
		in   *refusal
		want string
	}{
		"with data":    {refuse(headerError, badType, []byte{9}, "its type is %d", 9), ones + "0016 03 01 03 09"},
		"without data": {refuse(openError, badPeerAS, nil, "its AS"), ones + "0015 03 02 02"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(message(octetsOf(tc.want)), tc.in.message()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestANotificationsDataIsCutToTheLongestMessage(t *testing.T) {
	m := notificationMessage(updateError, optionalAttributeError, bytes.Repeat([]byte{7}, maxLength))
	var buf [maxLength]byte
	got, err := readMessage(bytes.NewReader(m), &buf)
	if err != nil || len(got) != maxLength {
		t.Errorf("want 4096 octets, got %d and %v", len(got), err)
	}
}

func TestAShutdownTextIsCutBetweenCharacters(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"none":                             {"", ""},
		"a short one":                      {"bye", "\x03bye"},
		"255 octets":                       {strings.Repeat("x", 255), "\xff" + strings.Repeat("x", 255)},
		"256 octets":                       {strings.Repeat("x", 256), "\xff" + strings.Repeat("x", 255)},
		"two octets across the border":     {strings.Repeat("x", 254) + "éé", "\xfe" + strings.Repeat("x", 254)},
		"four octets across the border":    {strings.Repeat("x", 252) + "\U0001F642", "\xfc" + strings.Repeat("x", 252)},
		"two octets that end at the limit": {strings.Repeat("x", 253) + "éé", "\xff" + strings.Repeat("x", 253) + "é"},
		"what is not UTF-8":                {"a\xffb", "\x05a\uFFFDb"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(shutdownText(tc.in)); got != tc.want {
				t.Errorf("want %q, got %q", tc.want, got)
			}
		})
	}
}

func TestANotificationIsRead(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want notification
	}{
		"hold timer expired":               {"\x04\x00", notification{4, 0, ""}},
		"shutdown without a text":          {"\x06\x02", notification{6, 2, ""}},
		"shutdown with an empty text":      {"\x06\x02\x00", notification{6, 2, ""}},
		"shutdown with a text":             {"\x06\x02\x16maintenance until noon", notification{6, 2, "maintenance until noon"}},
		"reset with a text":                {"\x06\x04\x03bye", notification{6, 4, "bye"}},
		"what follows the text":            {"\x06\x04\x03bye, all", notification{6, 4, "bye"}},
		"a text that is cut off":           {"\x06\x02\xffbye", notification{6, 2, "bye"}},
		"a text with controls":             {"\x06\x02\x0a\x1b[2J\nab\x00\x7f!", notification{6, 2, "\uFFFD[2J ab\uFFFD\uFFFD!"}},
		"a text that turns around":         {"\x06\x02\x05a\u202Eb", notification{6, 2, "a\uFFFDb"}},
		"a text that is not UTF-8":         {"\x06\x02\x03a\xffb", notification{6, 2, "a\uFFFDb"}},
		"a text of spaces":                 {"\x06\x02\x03 \r\n", notification{6, 2, ""}},
		"another Cease has no text":        {"\x06\x03\x03bye", notification{6, 3, ""}},
		"nor has another error":            {"\x02\x02\x03bye", notification{2, 2, ""}},
		"a code that nobody knows":         {"\xc8\x07", notification{200, 7, ""}},
		"too short, readMessage lets none": {"\x06", notification{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, parseNotification(newMessage(notificationKind, []byte(tc.body)...))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestANotificationIsToldInWords(t *testing.T) {
	for want, n := range map[string]notification{
		`Cease, Administrative Shutdown: "bye \"all\""`: {6, 2, `bye "all"`},
		"OPEN Message Error, Bad Peer AS":               {2, 2, ""},
		"Hold Timer Expired":                            {4, 0, ""},
		"error code 200, subcode 7":                     {200, 7, ""},
	} {
		if got := n.String(); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

// FuzzNotification: whatever comes, there is a notification, its text is one
// line, and what we would send with that text reads as the same.
func FuzzNotification(f *testing.F) {
	for _, body := range []string{"\x06\x02\x03bye", "\x06\x02\xff\xff", "\x04\x00", "\x06\x04\x05a\u202Eb"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n := parseNotification(newMessage(notificationKind, body[:min(len(body), maxLength-headerLength)]...))
		if strings.ContainsAny(n.Text, "\n\r\x1b\x00") || n.Text != strings.TrimSpace(n.Text) || len([]rune(n.Text)) > maxText {
			t.Fatalf("not one line: %q", n.Text)
		}
		if len(n.Text) > maxText {
			return
		}
		if got := parseNotification(notificationMessage(n.Code, n.Subcode, shutdownText(n.Text))); got != n {
			t.Fatalf("want %v, got %v", n, got)
		}
	})
}
