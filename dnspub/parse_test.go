package dnspub

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestParseKeyReadsBothForms(t *testing.T) {
	full := TSIG{Name: "anycastd.", Algorithm: "hmac-sha256.", Secret: secret}
	for name, tc := range map[string]struct {
		text string
		want TSIG
	}{
		"the secret alone":         {"\n " + secret + " \n", TSIG{Secret: secret}},
		"as tsig-keygen prints it": {"key \"anycastd\" {\n\talgorithm hmac-sha256;\n\tsecret \"" + secret + "\";\n};\n", full},
		"on one line, no quotes":   {"key AnycastD.{secret " + secret + ";algorithm HMAC-SHA256.;}", full},
		"without an algorithm":     {`key anycastd. { secret "` + secret + `"; };`, full},
		"among comments":           {"# made by hand\n/* key \"x\" { */ key anycastd { // yes\n secret \"" + secret + "\"; # no\n };", full},
		"a secret with slashes":    {`key anycastd { secret "ab//cd=="; };`, TSIG{Name: "anycastd.", Algorithm: "hmac-sha256.", Secret: "ab//cd=="}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseKey(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseKeyRefusesWithoutShowingTheSecret(t *testing.T) {
	const hush = "VGhpcyBpcyBhIHNlY3JldA=="
	for text, want := range map[string]string{
		"":                                       "neither a base64 secret nor a key clause",
		"not base64!":                            "neither a base64 secret nor a key clause",
		hush + "=":                               "neither a base64 secret nor a key clause",
		"key":                                    "neither a base64 secret nor a key clause",
		"key { secret;":                          "neither a base64 secret nor a key clause",
		`key "a" { secret "` + hush:              "a quoted string does not end",
		`/* key "a" { secret "` + hush + `"; };`: "a comment does not end",
		`key "a" { secret "` + hush + `" };`:     "a statement is not one word, one value and a semicolon",
		`key "a" { "` + hush + `" x; };`:         "a statement is neither algorithm nor secret",
		`key "a" { secret "` + hush + `";`:       "the clause does not end with };",
		`key "a" { secret "` + hush + `"; }; key "b"`:            "the clause does not end with }; and the text with it",
		`key "a" { algorithm hmac-md5; secret "` + hush + `"; }`: "key a.: the algorithm is none of",
		`key "a" { algorithm ` + hush + `; secret "hmac-md5"; }`: "key a.: the algorithm is none of",
		`key "a" { secret "` + hush + `!"; };`:                   "key a.: the secret is not base64",
		`key "a" { };`:                                           "key a.: the secret is not base64",
		`key "a..b" { secret "` + hush + `"; };`:                 "not a domain name",
	} {
		_, err := ParseKey(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %q, got %v", text, want, err)
		} else if strings.Contains(err.Error(), hush) {
			t.Errorf("%q: want the secret kept, got %v", text, err)
		}
	}
}

func TestResolversReadsResolvConf(t *testing.T) {
	text := "# nameserver 192.0.2.1\n; nameserver 192.0.2.2\nsearch example.net\nnameserver 192.0.2.3\n" +
		"nameserver\t2001:db8::53 # ours\n nameserver fe80::1%eth0\nnameserver\nnameserver ns1.example.net\noptions timeout:1\nnameserver 127.0.0.1"
	got, err := Resolvers(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"192.0.2.3:53", "[2001:db8::53]:53", "[fe80::1%eth0]:53", "127.0.0.1:53"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	broken := errors.New("broken")
	if _, err := Resolvers(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("want %v, got %v", broken, err)
	}
}

// FuzzParseKey: a key that is taken is a key that signs, and written as a
// clause reads as the same.
func FuzzParseKey(f *testing.F) {
	f.Add(secret)
	f.Add("key \"a.b\" {\n\talgorithm hmac-sha512;\n\tsecret \"" + secret + "\";\n};\n")
	f.Add("key a{secret AA==;}#/* */")
	f.Add(`/**/key "" { secret ""`)
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseKey(text)
		if err != nil {
			return
		}
		if !isSecret(key.Secret) {
			t.Fatalf("took %q as a secret", key.Secret)
		}
		if key.Name == "" {
			return
		}
		again, err := ParseKey(`key "` + key.Name + `" { algorithm ` + key.Algorithm + `; secret "` + key.Secret + `"; };`)
		if err != nil || again != key {
			t.Fatalf("want %v, got %v, %v", key, again, err)
		}
	})
}

// FuzzResolvers: what is returned can be dialled, and reads as the same.
func FuzzResolvers(f *testing.F) {
	f.Add("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
	f.Add("nameserver fe80::1%eth0 x\n#nameserver 1.1.1.1\noptions edns0\n")
	f.Fuzz(func(t *testing.T, text string) {
		servers, err := Resolvers(strings.NewReader(text))
		if err != nil {
			return
		}
		var again strings.Builder
		for _, s := range servers {
			host := strings.Trim(strings.TrimSuffix(s, ":53"), "[]")
			again.WriteString("nameserver " + host + "\n")
		}
		got, err := Resolvers(strings.NewReader(again.String()))
		if err != nil || !cmp.Equal(servers, got) {
			t.Fatalf("want %v, got %v, %v", servers, got, err)
		}
	})
}
