package config

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// document is a TOML file as a tree in which every key and value knows its place.
type document struct {
	name   string
	source []byte
	lines  []int // offsets where lines begin
	root   *entry
}

// entry is a table, a list or a plain value.
type entry struct {
	kind  unstable.Kind     // Table, Array or the kind of a plain value
	key   int               // offset of its key
	value int               // offset of its value; of a table with a header, its name there
	text  string            // a plain value; of a string, what it means
	names []string          // a table's keys, in the file's order
	child map[string]*entry // a table's entries
	items []*entry          // a list's elements
	bad   bool              // a fault has been noted
}

// newDocument returns a document that is not parsed yet.
func newDocument(name string, source []byte) *document {
	d := &document{name: name, source: source, lines: []int{0}, root: newTable(0)}
	for i, c := range source {
		if c == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	return d
}

// newTable returns an empty table whose name stands at offset.
func newTable(offset int) *entry {
	return &entry{kind: unstable.Table, key: offset, value: offset, child: map[string]*entry{}}
}

// parse builds the tree, or returns the first thing that is not TOML and its
// offset. Whether it is TOML is for go-toml to say, duplicate keys included;
// its syntax tree then gives the places that its decoder does not tell.
func (d *document) parse() (offset int, problem string) {
	var all map[string]any
	if err := toml.Unmarshal(d.source, &all); err != nil {
		return d.syntax(err)
	}
	p := unstable.Parser{}
	p.Reset(d.source)
	current := d.root
	for p.NextExpression() {
		current = d.expression(current, p.Expression())
	}
	return 0, ""
}

// syntax returns what a decoding error says, and where.
func (d *document) syntax(err error) (offset int, problem string) {
	problem = strings.TrimPrefix(err.Error(), "toml: ")
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, column := at.Position() // counted from 1, in octets
		line = max(1, min(line, len(d.lines)))
		offset = min(d.lines[line-1]+max(column, 1)-1, len(d.source))
	}
	return offset, problem
}

// expression adds a line to the tree, given the table that plain keys go to,
// and returns the table that those of the next line go to.
func (d *document) expression(current *entry, e *unstable.Node) *entry {
	switch e.Kind {
	case unstable.Table:
		path, last := keys(d.root, e)
		t := path.enter(last)
		t.key, t.value = int(last.Raw.Offset), int(last.Raw.Offset)
		return t
	case unstable.ArrayTable:
		path, last := keys(d.root, e)
		return path.extend(last)
	case unstable.KeyValue:
		d.set(current, e)
	}
	return current
}

// keys follows all but the last part of an expression's key, and returns where
// that leads and the last part.
func keys(from *entry, e *unstable.Node) (*entry, *unstable.Node) {
	it := e.Key()
	for it.Next() {
		if it.IsLast() {
			return from, it.Node()
		}
		from = from.enter(it.Node())
	}
	return from, nil
}

// enter returns the table under a key, the newest one if there are several,
// and makes it if it is missing.
func (e *entry) enter(key *unstable.Node) *entry {
	t := e.child[string(key.Data)]
	switch {
	case t == nil:
		t = newTable(int(key.Raw.Offset))
		e.put(string(key.Data), t)
	case len(t.items) > 0:
		t = t.items[len(t.items)-1]
	}
	return t
}

// extend adds a table to the list of tables under a key.
func (e *entry) extend(key *unstable.Node) *entry {
	name, at := string(key.Data), int(key.Raw.Offset)
	if e.child[name] == nil {
		e.put(name, &entry{kind: unstable.Array, key: at, value: at})
	}
	t := newTable(at)
	e.child[name].items = append(e.child[name].items, t)
	return t
}

// put adds an entry to a table.
func (e *entry) put(name string, child *entry) {
	e.names = append(e.names, name)
	e.child[name] = child
}

// set adds a key and its value to a table.
func (d *document) set(t *entry, e *unstable.Node) {
	t, last := keys(t, e)
	at := int(last.Raw.Offset + last.Raw.Length)
	for at < len(d.source) && strings.IndexByte(" \t=", d.source[at]) >= 0 {
		at++
	}
	v := d.convert(e.Value(), at)
	v.key = int(last.Raw.Offset)
	t.put(string(last.Data), v)
}

// convert returns a value of the syntax tree; the offset is for lists, whose
// place the syntax tree does not tell.
func (d *document) convert(n *unstable.Node, offset int) *entry {
	if n.Raw.Length > 0 {
		offset = int(n.Raw.Offset)
	}
	v := &entry{kind: n.Kind, key: offset, value: offset, text: string(n.Data)}
	switch n.Kind {
	case unstable.InlineTable:
		v.kind, v.child = unstable.Table, map[string]*entry{}
		for it := n.Children(); it.Next(); {
			d.set(v, it.Node())
		}
	case unstable.Array:
		for it := n.Children(); it.Next(); {
			v.items = append(v.items, d.convert(it.Node(), offset))
		}
	}
	return v
}

// find returns the entry at a path such as "gateway[1].addresses[0]", or, as
// far as that does not exist, the last one on the way.
func (d *document) find(path string) (e *entry, whole bool) {
	e = d.root
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		next := e.child[step]
		if i, err := strconv.Atoi(step); err == nil && i < len(e.items) {
			next = e.items[i]
		}
		if next == nil {
			return e, false
		}
		e = next
	}
	return e, true
}

// inherit gives each of the tables at a path what it lacks and the one table at
// another path has, at the place where it stands there. They do not show it
// among their own keys.
func (d *document) inherit(path, from string) {
	tables, _ := d.find(path)
	defaults, whole := d.find(from)
	if !whole {
		return
	}
	for _, t := range tables.items {
		for name, e := range defaults.child {
			if t.child != nil && t.child[name] == nil {
				t.child[name] = e
			}
		}
	}
}

// given reports whether the file has the path.
func (d *document) given(path string) bool {
	_, whole := d.find(path)
	return whole
}

// at returns the offset of the value at a path, or of the nearest table above it.
func (d *document) at(path string) int {
	e, _ := d.find(path)
	return e.value
}

// place returns the line and column of an offset, both from 1, and the line's text.
func (d *document) place(offset int) (line, column int, text string) {
	line, found := slices.BinarySearch(d.lines, offset)
	if found {
		line++
	}
	start := d.lines[line-1]
	end := len(d.source)
	if line < len(d.lines) {
		end = d.lines[line] - 1
	}
	raw := bytes.TrimSuffix(d.source[start:end], []byte("\r"))
	before := min(offset-start, len(raw))
	for before > 0 && before < len(raw) && !utf8.RuneStart(raw[before]) {
		before-- // to where the character begins
	}
	return line, utf8.RuneCount(raw[:before]) + 1, string(raw)
}
