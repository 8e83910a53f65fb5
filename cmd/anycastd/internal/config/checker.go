package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// checker collects what is wrong with a document.
type checker struct {
	doc *document
	dir string // where relative paths start

	staleAfter time.Duration // policy.stale_after
	findings   []*finding
}

// finding is a fault or warning before it is put into lines and columns.
type finding struct {
	offset        int
	warning       bool
	message, hint string
}

// suggest gives the finding its hint.
func (f *finding) suggest(format string, args ...any) {
	f.hint = fmt.Sprintf(format, args...)
}

// faultAt notes a fault at an offset.
func (c *checker) faultAt(offset int, format string, args ...any) *finding {
	f := &finding{offset: offset, message: fmt.Sprintf(format, args...)}
	c.findings = append(c.findings, f)
	return f
}

// fault notes a fault at the value of a path such as "gateway[1].addresses[0]",
// or, as far as that is missing, at the table it would stand in.
func (c *checker) fault(path, format string, args ...any) *finding {
	return c.faultAt(c.doc.at(path), format, args...)
}

// warn notes a warning, placed like a fault.
func (c *checker) warn(path, format string, args ...any) *finding {
	f := c.fault(path, format, args...)
	f.warning = true
	return f
}

// ignored warns of a setting that is right but has no effect yet.
func (c *checker) ignored(path, setting, instead string) {
	c.warn(path, "this version ignores %s", setting).suggest("%s", instead)
}

// faulty reports whether the value at a path, or the table it would stand in,
// is known to be wrong already.
func (c *checker) faulty(path string) bool {
	e, _ := c.doc.find(path)
	return e.bad
}

// sound reports whether the file has the path, with a value that nothing is
// wrong with so far.
func (c *checker) sound(path string) bool {
	return c.doc.given(path) && !c.faulty(path)
}

// word checks a name that stands at path and reports whether it is one.
func (c *checker) word(path, key, name string) bool {
	if !c.sound(path) {
		return false
	}
	if err := checkWord(name); err != nil {
		c.fault(path, "%s: %s %v", key, quote(name), err)
		return false
	}
	return true
}

// zoneName returns the fully qualified form of a DNS name that stands at
// path; "" if it is wrong.
func (c *checker) zoneName(path, key, name string) string {
	if !c.sound(path) {
		return ""
	}
	plain, err := domain(name, true)
	if err != nil {
		c.fault(path, "%s: %s %v", key, quote(name), err)
		return ""
	}
	return plain + "."
}

// report returns the faults, or the warnings, by position, each once.
func (c *checker) report(warnings bool) Faults {
	noted := map[finding]bool{} // a default's may have been found for each neighbor that takes it
	wanted := slices.DeleteFunc(slices.Clone(c.findings), func(f *finding) bool {
		again := noted[*f]
		noted[*f] = true
		return f.warning != warnings || again
	})
	slices.SortStableFunc(wanted, func(a, b *finding) int { return cmp.Compare(a.offset, b.offset) })
	const most = 200
	if more := len(wanted) - most; more > 0 {
		wanted = wanted[:most+1]
		wanted[most] = &finding{offset: wanted[most].offset, message: fmt.Sprintf("%d more from here on", more)}
	}
	var faults Faults
	for _, f := range wanted {
		line, column, text := c.doc.place(f.offset)
		faults = append(faults, Fault{c.doc.name, line, column, text, f.message, f.hint})
	}
	return faults
}

// uniquely checks keys that must not occur twice.
type uniquely[K comparable] struct {
	c    *checker
	what string
	seen map[K]string // the path where it stood first
}

// unique starts a check of keys of the kind that what names.
func unique[K comparable](c *checker, what string) uniquely[K] {
	return uniquely[K]{c, what, map[K]string{}}
}

// add reports whether key, at path, has not occurred before, and faults it if it has.
func (u uniquely[K]) add(key K, path string) bool {
	first, twice := u.seen[key]
	if !twice {
		u.seen[key] = path
		return true
	}
	line, _, _ := u.c.doc.place(u.c.doc.at(first))
	u.c.fault(path, "%s %v occurs twice", u.what, key).suggest("it is on line %d already", line)
	return false
}

// item returns the path of a list's element.
func item(path string, i int) string {
	return fmt.Sprintf("%s[%d]", path, i)
}

// quote shows a word of the file in a message, cut to a sensible length.
func quote(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// list puts words into a sentence: "a, b or c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
