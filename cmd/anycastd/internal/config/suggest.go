package config

import (
	"reflect"
	"slices"
	"strings"
)

// didYouMean returns the option that word was probably meant to be: the
// nearest that has no more than a third of its letters wrong; else "".
func didYouMean(word string, options []string) string {
	const longest = 64
	if len(word) > longest {
		return ""
	}
	best, least := "", longest
	for _, o := range options {
		d := distance(strings.ToLower(word), strings.ToLower(o))
		if d < least && d <= max(1, len(word)/3, len(o)/3) {
			best, least = o, d
		}
	}
	return best
}

// distance counts the octets to insert, remove, replace or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}

// choiceHint is the hint for a word that is none of the options.
func choiceHint(word string, options []string) string {
	if o := didYouMean(word, options); o != "" {
		return "did you mean \"" + o + "\"?"
	}
	return ""
}

// keyHint is the hint for a key that a table of type t does not have.
func keyHint(key string, t reflect.Type, s scope) string {
	names := keyNames(t)
	if hint := choiceHint(key, names); hint != "" {
		return hint
	}
	if homes := homesOf(key, reflect.TypeFor[file](), scope{}); len(homes) > 0 {
		return "it belongs in " + list(homes)
	}
	return s.title() + " has " + strings.Join(names, ", ")
}

// keyNames returns the keys of a table.
func keyNames(t reflect.Type) []string {
	var names []string
	for _, f := range fields(t) {
		names = append(names, f.Tag.Get("toml"))
	}
	return names
}

// homesOf returns the titles of the tables at and below type t that have a key.
func homesOf(key string, t reflect.Type, s scope) []string {
	var homes []string
	if slices.Contains(keyNames(t), key) {
		homes = append(homes, s.title())
	}
	for _, f := range fields(t) {
		if sub, several, ok := tableType(f.Type); ok {
			homes = append(homes, homesOf(key, sub, s.enter(f.Tag.Get("toml"), several))...)
		}
	}
	return homes
}

// syntaxHint is the hint for a mistake in TOML itself that many make.
func syntaxHint(problem string) string {
	switch {
	case strings.Contains(problem, "already defined"):
		return "a key can be given once in its table; a list takes several values: [ \"a\", \"b\" ]"
	case strings.Contains(problem, "already exists"):
		return "a [table] can be opened once; several gateways, pools, neighbors or zones are [[tables]]"
	case strings.HasPrefix(problem, "expected newline"):
		return "each setting has its own line, and strings, addresses and durations stand in quotes"
	case strings.HasPrefix(problem, "unexpected character"), strings.HasPrefix(problem, "expected keyword"):
		return "strings, addresses and durations stand in quotes"
	}
	return ""
}
