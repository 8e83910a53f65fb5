package config

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

// wants names what the type of target takes; "" if it is no plain value.
func wants(target any) string {
	switch target.(type) {
	case *string:
		return "a string"
	case *bool:
		return "true or false"
	case *int64:
		return "an integer"
	case *float64:
		return "a number"
	case *time.Duration:
		return "a duration in quotes"
	case *netip.Addr:
		return "an IP address in quotes"
	case *netip.Prefix:
		return "a prefix in quotes"
	}
	return ""
}

// takes reports whether target can be written as a value of that kind.
func takes(target any, kind unstable.Kind) bool {
	switch target.(type) {
	case *bool:
		return kind == unstable.Bool
	case *int64:
		return kind == unstable.Integer
	case *float64:
		return kind == unstable.Integer || kind == unstable.Float
	}
	return kind == unstable.String
}

// kindName names a kind of value.
func kindName(kind unstable.Kind) string {
	switch kind {
	case unstable.String:
		return "a string"
	case unstable.Bool:
		return "a boolean"
	case unstable.Integer:
		return "an integer"
	case unstable.Float:
		return "a decimal fraction"
	case unstable.Array:
		return "a list"
	case unstable.Table:
		return "a table"
	}
	return "a date or time"
}

// kindHint is the hint for a value whose kind target does not take.
func kindHint(target any, e *entry) string {
	_, wantsDuration := target.(*time.Duration)
	switch {
	case e.kind == unstable.String && isNumber(e.text), e.kind == unstable.String && isBool(e.text):
		return "write it without quotes"
	case e.kind == unstable.Integer && wantsDuration:
		return "give it a unit: \"" + e.text + "s\" is in seconds"
	case e.kind == unstable.Array && len(e.items) > 0:
		return "it takes one value: leave the brackets out"
	case e.kind != unstable.Array && e.kind != unstable.Table && takes(target, unstable.String):
		return "put it in quotes"
	}
	return ""
}

// tableHint is the hint for something else where a table should be, or one
// table where there can be several.
func tableHint(s scope) string {
	if s.several {
		return "write " + s.title() + ", once for each"
	}
	return "there is only one: write " + s.title()
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

func isBool(s string) bool {
	return s == "true" || s == "false"
}

// scan reads text into target, which stays as it is if there is a problem.
// The problem follows the quoted text: "… is not an IP address".
func scan(target any, text string) (problem, hint string) {
	switch p := target.(type) {
	case *string:
		*p = text
	case *bool:
		*p = text == "true"
	case *int64: // TOML's other bases and underscores are those of base 0
		*p, _ = strconv.ParseInt(text, 0, 64)
	case *float64:
		*p, _ = strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	case *time.Duration:
		return scanDuration(p, text)
	case *netip.Addr:
		return scanAddr(p, text)
	case *netip.Prefix:
		return scanPrefix(p, text)
	}
	return "", ""
}

func scanDuration(p *time.Duration, text string) (problem, hint string) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && isNumber(text):
		return "has no unit", "write a number with a unit, such as \"500ms\", \"5s\" or \"2m\""
	case err != nil:
		return "is not a duration", "write a number with a unit, such as \"500ms\", \"5s\" or \"2m\""
	case d < 0:
		return "is negative", ""
	}
	*p = d
	return "", ""
}

func scanAddr(p *netip.Addr, text string) (problem, hint string) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil && strings.Contains(text, "/"):
		return "is not an IP address", "write it without the prefix length"
	case err != nil:
		return "is not an IP address", ""
	case a.Is4In6():
		return "is an IPv4 address mapped into IPv6", "write \"" + a.Unmap().String() + "\""
	}
	*p = a
	return "", ""
}

func scanPrefix(p *netip.Prefix, text string) (problem, hint string) {
	prefix, err := netip.ParsePrefix(text)
	a, notAddr := netip.ParseAddr(text)
	switch {
	case err != nil && notAddr == nil && a.Zone() == "":
		a = a.Unmap()
		return "has no prefix length", "for this address alone write \"" + netip.PrefixFrom(a, a.BitLen()).String() + "\""
	case err != nil:
		return "is not a prefix", ""
	case prefix.Addr().Is4In6():
		bits := max(0, prefix.Bits()-96)
		return "is an IPv4 prefix mapped into IPv6", "write \"" + netip.PrefixFrom(prefix.Addr().Unmap(), bits).Masked().String() + "\""
	case prefix != prefix.Masked():
		return "has bits set behind its prefix length", "write \"" + prefix.Masked().String() + "\""
	}
	*p = prefix
	return "", ""
}
