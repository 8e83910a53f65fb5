package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// maxName is the length of a domain name in octets as it travels, with a
// length octet before each label and one at the end (RFC 1035 section 2.3.4).
// A gateway identity has one octet for its length as well (RFC 5685 section 9.2).
const maxName = 255

// maxLabel is the length of a label in octets (RFC 1035 section 2.3.4).
const maxLabel = 63

// domain returns a domain name in lower case and without its final dot. Only
// with underscores may labels contain them, as those of SRV records do.
func domain(s string, underscores bool) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	if name == "" {
		return "", errors.New("is empty")
	}
	if n := len(name) + 2; n > maxName {
		return "", fmt.Errorf("is %d octets long on the wire, more than %d", n, maxName)
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label, underscores); err != nil {
			return "", err
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", errors.New("is an address, not a name")
	}
	return name, nil
}

// checkLabel returns what is wrong with a lower-case label (RFC 1123 section 2.1).
func checkLabel(label string, underscores bool) error {
	if label == "" {
		return errors.New("has an empty label")
	}
	if len(label) > maxLabel {
		return fmt.Errorf("has a label of %d octets, more than %d", len(label), maxLabel)
	}
	for _, r := range label {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_' && underscores:
		case r > unicode.MaxASCII:
			return fmt.Errorf("has the character %q; such a name is written in its xn-- form (RFC 5890)", r)
		default:
			return fmt.Errorf("has the character %q", r)
		}
	}
	if strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
		return errors.New("has a label that begins or ends with a hyphen")
	}
	return nil
}

// within reports whether a name is a zone's or lies below it; both are fully
// qualified and in lower case.
func within(name, zone string) bool {
	return name == zone || strings.HasSuffix(name, "."+zone)
}

// endpoint returns host:port of a server's address or name, whose port may be left out.
func endpoint(s, port string) (string, error) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return net.JoinHostPort(a.String(), port), nil
	}
	if !strings.Contains(s, ":") {
		s += ":" + port
	}
	if strings.HasPrefix(s, ":") {
		return "", errors.New("has no host")
	}
	if strings.HasSuffix(s, ":0") {
		return "", errors.New("has the port 0, not one of 1 to 65535")
	}
	return s, checkListen(s)
}

// checkListen returns what is wrong with host:port, whose host may be empty.
func checkListen(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("is not host:port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("has the port %s, not one of 0 to 65535", quote(port))
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return nil
	}
	if _, err := domain(host, true); err != nil {
		return fmt.Errorf("has a host that %w", err)
	}
	return nil
}

// checkWord returns what is wrong with a name that the command line, metrics
// and log lines shall carry as one word.
func checkWord(s string) error {
	const longest = 64
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > longest:
		return fmt.Errorf("is %d octets long, more than %d", len(s), longest)
	case strings.HasPrefix(s, "-"):
		return errors.New("begins with a hyphen, as options do")
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return errors.New("has a blank or a control character")
	}
	return nil
}

// checkInterface returns what is wrong with the name of a network interface:
// the kernel takes 1 to 15 octets without blank, slash or colon.
func checkInterface(s string) error {
	const longest = 15
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > longest:
		return fmt.Errorf("is %d octets long, more than %d", len(s), longest)
	case s == ".", s == "..", strings.ContainsAny(s, "/:"), strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return errors.New("is no name of an interface")
	}
	return nil
}
