package config

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// plain returns a tree as go-toml decodes it into no particular type, with
// dates and fractions left out.
func plain(e *entry) any {
	switch e.kind {
	case unstable.Table:
		m := map[string]any{}
		for name, child := range e.child {
			m[name] = plain(child)
		}
		return m
	case unstable.Array:
		l := []any{}
		for _, child := range e.items {
			l = append(l, plain(child))
		}
		return l
	case unstable.String:
		return e.text
	case unstable.Bool:
		return e.text == "true"
	case unstable.Integer:
		i, _ := strconv.ParseInt(e.text, 0, 64)
		return i
	}
	return nil
}

// decoded is what go-toml's decoder makes of a text, comparable with plain.
func decoded(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = decoded(v[name])
		}
		return v
	case []any:
		for i := range v {
			v[i] = decoded(v[i])
		}
		return v
	case string, bool, int64:
		return v
	}
	return nil
}

// tomls are texts with all of TOML's ways to write tables.
var tomls = map[string]string{
	"nothing":               "",
	"everything":            full,
	"dotted keys":           "[ike]\nxdp.mode = 'auto'\nxdp.interfaces = []\nports = [1]\n[ike.other]\n",
	"dotted headers":        "[a.b.c]\nx = 1\n[a]\ny = 2\n[a.b]\nz = 3\n",
	"quoted keys":           "\"a.b\".'c d'.\"\\u00fc\" = \"\\t\"\n[\"\"]\n\"\" = ''\n",
	"tables in lists":       "[[a]]\nx = 1\n[[a.b]]\ny = 1\n[[a.b]]\ny = 2\n[a.c]\nz = 1\n[[a]]\nx = 2\n[a.c]\nz = 2\n",
	"inline tables":         "a = { b.c = 1, d = [ { e = 2 }, { e.f = [ 3, [ ] ] } ], g = {} }\n",
	"lists over many lines": "a = [ # one\n 1_0, 0x1F,\n\n 0o7, # two\n 0b1, ]\nb = true\n",
	"strings of four kinds": "a = \"\"\"\nx\\\n  y\"\"\"\nb = '''\n'z' '''\nc = \"\\\"\"\nd = ''\n",
	"carriage returns":      "[a]\r\nb = [\r\n1,\r\n2]\r\n\r\n# c\r\nd = 1",
}

func TestParse_reads_what_the_decoder_reads(t *testing.T) {
	for name, text := range tomls {
		t.Run(name, func(t *testing.T) {
			want := map[string]any{}
			if err := toml.Unmarshal([]byte(text), &want); err != nil {
				t.Fatal(err)
			}
			d := newDocument("a.toml", []byte(text))
			if _, problem := d.parse(); problem != "" {
				t.Fatal(problem)
			}
			if diff := cmp.Diff(decoded(want), plain(d.root)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAt_points_at_the_value_or_the_table_that_lacks_it(t *testing.T) {
	const text = "top = 1\n" +
		"[[gateway]]\n" +
		"name = 'a'\n" +
		"probe = { every = \"1s\" }\n" +
		"addresses = [ \"x\",\n" +
		"\t\"y\" ]\n" +
		"[[ gateway ]]\n" +
		"probe.rise =   2\n" +
		"[ike . \"xdp\"]\n" +
		"list =\t[ [ 1 ] ]\n"
	d := newDocument("a.toml", []byte(text))
	d.parse()
	for path, want := range map[string]string{
		"": "1:1", "top": "1:7", "none": "1:1", "none[3].x": "1:1", "gateway": "2:3", "gateway[0]": "2:3", "gateway[0].name": "3:8", "gateway[0].weight": "2:3",
		"gateway[0].probe": "4:9", "gateway[0].probe.every": "4:19", "gateway[0].probe.rise": "4:9",
		"gateway[0].addresses": "5:13", "gateway[0].addresses[0]": "5:15", "gateway[0].addresses[1]": "6:2", "gateway[0].addresses[2]": "5:13",
		"gateway[1]": "7:4", "gateway[1].probe": "8:1", "gateway[1].probe.rise": "8:16", "gateway[2].name": "2:3",
		"ike": "9:2", "ike.xdp": "9:8", "ike.xdp.list": "10:8", "ike.xdp.list[0]": "10:8", "ike.xdp.list[0][0]": "10:12", "ike.ports": "9:2",
	} {
		line, column, _ := d.place(d.at(path))
		if got := fmt.Sprintf("%d:%d", line, column); got != want {
			t.Errorf("%s: want %s, got %s", path, want, got)
		}
	}
}

func TestSyntax_errors_come_alone_and_with_their_place(t *testing.T) {
	checkFaults(t, map[string]row{
		"a key twice":             {"[ike]\nsockets = 1\nbogus = 2\nsockets = 3\n", []string{`4:1: key sockets is already defined (a key can be given once in its table; a list takes several values: [ "a", "b" ])`}},
		"a key twice inline":      {"gateway = [ { name = 'a', name = 'b' } ]", []string{`1:1: key name is already defined (a key can be given once in its table; a list takes several values: [ "a", "b" ])`}},
		"a table twice":           {"[ike]\n[bgp]\n[ike]\n", []string{"3:2: table ike already exists (a [table] can be opened once; several gateways, pools, neighbors or zones are [[tables]])"}},
		"a table after a list":    {"[[pool]]\n[pool]\n", []string{"2:2: table pool already exists as an array of tables (a [table] can be opened once; several gateways, pools, neighbors or zones are [[tables]])"}},
		"no quotes":               {"[bgp]\nrouter_id = fra1\n", []string{`2:13: expected keyword "false" (strings, addresses and durations stand in quotes)`}},
		"an address unquoted":     {"[bgp]\nrouter_id = 192.0.2.1\n", []string{"2:18: expected newline but got U+002E '.' (each setting has its own line, and strings, addresses and durations stand in quotes)"}},
		"a value missing":         {"[ike]\nsockets =", []string{"2:9: expected value, not end of input"}},
		"a bracket missing":       {"[ike\nsockets = 1", []string{"1:5: expected ']' to close table name"}},
		"behind umlauts":          {"\"äöü\" = ü", []string{"1:9: unexpected character U+00C3 'Ã' at start of value (strings, addresses and durations stand in quotes)"}},
		"a wild carriage return":  {"[ike]\rsockets = 1", []string{"1:6: expected newline but got U+000D (each setting has its own line, and strings, addresses and durations stand in quotes)"}},
		"an end in a character":   {"\"…", []string{"1:2: unterminated basic string"}},
		"what isn't UTF-8":        {"node.name = \"\xff\"", []string{"1:14: invalid UTF-8 character in basic string"}},
		"a number that overflows": {"ike.sockets = 9223372036854775808", []string{"1:15: decimal number is too large to fit in a 64-bit signed integer"}},
		"a megabyte of junk":      {strings.Repeat("\x00\xff[=", maxSize/4), []string{"1:1: invalid character at start of key: U+0000"}},
		"a file too long":         {strings.Repeat("#\n", maxSize/2) + "x", []string{"1:1: the file is longer than 1048576 octets"}},
	})
}

func TestColumns_count_characters_in_lines_however_they_end(t *testing.T) {
	const hint = "each setting has its own line, and strings, addresses and durations stand in quotes"
	for name, text := range map[string]string{
		"CRLF": "[node]\r\n\"name\"\t=\t'ä' ; junk\r\n",
		"LF":   "[node]\n\"name\"\t=\t'ä' ; junk\n",
	} {
		t.Run(name, func(t *testing.T) {
			want := Faults{{"a.toml", 2, 14, "\"name\"\t=\t'ä' ; junk", "expected newline but got U+003B ';'", hint}}
			if diff := cmp.Diff(want, faultsOf(t, text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	const report = "a.toml:2:14: expected newline but got U+003B ';'\n" +
		"    \"name\"\t=\t'ä' ; junk\n" +
		"          \t \t    ^\n" +
		"hint: " + hint
	if got := faultsOf(t, "[node]\r\n\"name\"\t=\t'ä' ; junk\r\n").Error(); got != report {
		t.Errorf("want\n%s\ngot\n%s", report, got)
	}
}

func TestReport_shows_a_window_of_a_long_line_and_nothing_a_terminal_obeys(t *testing.T) {
	f := Fault{"a", 1, 501, strings.Repeat("ä", 499) + "\x1bX" + strings.Repeat("b", 499), "wrong", ""}
	want := "a:1:501: wrong\n    " + strings.Repeat("ä", 59) + "\ufffdX" + strings.Repeat("b", 59) + "\n    " + strings.Repeat(" ", 60) + "^"
	if got := (Faults{f}).Error(); got != want {
		t.Errorf("want\n%s\ngot\n%s", want, got)
	}
	f.Column, f.Text = 9, "x = "
	if got, want := (Faults{f}).Error(), "a:1:9: wrong\n    x = \n        ^"; got != want {
		t.Errorf("want\n%s\ngot\n%s", want, got)
	}
}

func TestReport_ends_after_two_hundred_faults(t *testing.T) {
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, "x%d = 1\n", i)
	}
	got := faultsOf(t, b.String()) // and one more: there is no anycast address
	if len(got) != 201 || got[200].Message != "301 more from here on" {
		t.Errorf("want 201 faults and 301 more, got %d and %q", len(got), got[len(got)-1].Message)
	}
}
