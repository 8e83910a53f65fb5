package config

import (
	"fmt"
	"strings"
	"unicode"
)

// Fault is one thing that is wrong, or worth a warning, and where it stands.
type Fault struct {
	File    string
	Line    int    // from 1
	Column  int    // in characters, from 1; one past the end of Text where something is missing
	Text    string // the source line, without its line end
	Message string
	Hint    string // what to do about it; "" if there is nothing to say
}

// Error returns the fault in one line, without its hint.
func (f Fault) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, strings.Map(visible, f.Message))
}

// Faults is everything that is wrong with a file, by position.
type Faults []Fault

// Error returns the whole report: for each fault its line, the source line, a
// caret under the place, and a hint. It does not end in a newline.
func (f Faults) Error() string {
	var b strings.Builder
	for i := range f {
		if i > 0 {
			b.WriteByte('\n')
		}
		f[i].print(&b)
	}
	return b.String()
}

// print writes the fault as it stands in a report.
func (f *Fault) print(b *strings.Builder) {
	text, caret := f.excerpt()
	fmt.Fprintf(b, "%s\n    %s\n    %s^", f.Error(), text, caret)
	if f.Hint != "" {
		fmt.Fprintf(b, "\nhint: %s", f.Hint)
	}
}

// excerptLen is how many characters of a source line a report shows.
const excerptLen = 120

// excerpt returns what a terminal can show of the source line around the
// place, and the blank that puts a caret under it: tabs stay tabs, so that
// both lines are equally wide wherever the tab stops are.
func (f *Fault) excerpt() (text, blank string) {
	line := []rune(f.Text)
	at := min(f.Column-1, len(line))
	if len(line) > excerptLen {
		from := max(0, min(at-excerptLen/2, len(line)-excerptLen))
		line, at = line[from:from+excerptLen], at-from
	}
	return strings.Map(visible, string(line)), strings.Map(blankFor, string(line[:at]))
}

// visible returns r if a terminal may be given it.
func visible(r rune) rune {
	if r == '\t' || unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

// blankFor returns the blank as wide as r.
func blankFor(r rune) rune {
	if r == '\t' {
		return r
	}
	return ' '
}
