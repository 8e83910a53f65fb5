package dnspub

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"

	miekgdns "github.com/miekg/dns"
)

// defaultAlgorithm is the one that every server must have (RFC 8945 section 6).
const defaultAlgorithm = miekgdns.HmacSHA256

// canonical returns the key as the library and the wire want it, names fully
// qualified in lower case.
func (k TSIG) canonical() (TSIG, error) {
	k.Name = miekgdns.CanonicalName(k.Name)
	if k.Algorithm == "" {
		k.Algorithm = defaultAlgorithm
	}
	k.Algorithm = miekgdns.CanonicalName(k.Algorithm)
	known := []string{miekgdns.HmacSHA1, miekgdns.HmacSHA224, miekgdns.HmacSHA256, miekgdns.HmacSHA384, miekgdns.HmacSHA512}
	_, valid := miekgdns.IsDomainName(k.Name)
	switch {
	case !valid:
		return k, fmt.Errorf("key %q: not a domain name", k.Name)
	case !slices.Contains(known, k.Algorithm):
		return k, fmt.Errorf("key %s: the algorithm is none of hmac-sha1, -sha224, -sha256, -sha384 and -sha512", k.Name)
	case !isSecret(k.Secret):
		return k, fmt.Errorf("key %s: the secret is not base64", k.Name)
	}
	return k, nil
}

// isSecret says whether s is the base64 of something, without telling what.
func isSecret(s string) bool {
	raw, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(raw) > 0
}

// ParseKey reads the content of a secret file: either the secret alone in
// base64, or one key clause of BIND, as tsig-keygen prints it. The former gives a
// TSIG with no more than a Secret. Errors never show the secret.
func ParseKey(text string) (TSIG, error) {
	if bare := strings.TrimSpace(text); isSecret(bare) {
		return TSIG{Secret: bare}, nil
	}
	words, err := split(text)
	if err != nil {
		return TSIG{}, err
	}
	if len(words) < 4 || words[0] != "key" || words[2] != "{" || isMark(words[1]) {
		return TSIG{}, errors.New(`neither a base64 secret nor a key clause: key "name" { algorithm hmac-sha256; secret "…"; };`)
	}
	key := TSIG{Name: words[1]}
	if key, err = key.statements(words[3:]); err != nil {
		return TSIG{}, fmt.Errorf("key %q: %w", words[1], err)
	}
	return key.canonical()
}

// statements reads what stands between the braces of a key clause, and that
// nothing stands behind them.
func (k TSIG) statements(words []string) (TSIG, error) {
	for len(words) >= 3 && words[0] != "}" {
		if isMark(words[1]) || words[2] != ";" {
			return k, errors.New("a statement is not one word, one value and a semicolon")
		}
		switch words[0] {
		case "algorithm":
			k.Algorithm = words[1]
		case "secret":
			k.Secret = words[1]
		default:
			return k, errors.New("a statement is neither algorithm nor secret")
		}
		words = words[3:]
	}
	if end := strings.Join(words, ""); end != "};" && end != "}" {
		return k, errors.New("the clause does not end with }; and the text with it")
	}
	return k, nil
}

func isMark(word string) bool { return word == "{" || word == "}" || word == ";" }

// split cuts the text of a BIND configuration into words, quoted strings
// without their quotes, and the marks { } ;, and leaves out comments.
func split(text string) ([]string, error) {
	var words []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		var word string
		var closed bool
		switch {
		case text[0] == '#' || strings.HasPrefix(text, "//"):
			_, text, _ = strings.Cut(text, "\n")
			continue
		case strings.HasPrefix(text, "/*"):
			if _, text, closed = strings.Cut(text[2:], "*/"); !closed {
				return nil, errors.New("a comment does not end")
			}
			continue
		case text[0] == '"':
			if word, text, closed = strings.Cut(text[1:], `"`); !closed {
				return nil, errors.New("a quoted string does not end")
			}
		case isMark(text[:1]):
			word, text = text[:1], text[1:]
		default:
			end := strings.IndexAny(text, "{};\"# \t\r\n")
			if end < 0 {
				end = len(text)
			}
			word, text = text[:end], text[end:]
		}
		words = append(words, word)
	}
	return words, nil
}

// Resolvers returns the name servers of a resolv.conf text, each host:port, in
// their order. Lines that resolv.conf(5) does not know it passes over. An
// error comes from the reader, or from a line of more than 64 KiB.
func Resolvers(r io.Reader) ([]string, error) {
	var servers []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, net.JoinHostPort(addr.String(), "53"))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading resolv.conf: %w", err)
	}
	return servers, nil
}
