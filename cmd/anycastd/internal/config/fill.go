package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

// scope is the table that is being read.
type scope struct {
	path    string // without indices, such as "bgp.neighbor"
	several bool   // there can be several
}

// enter returns the scope of a table within s.
func (s scope) enter(key string, several bool) scope {
	return scope{s.key(key), several}
}

// key returns how messages name a key of the table.
func (s scope) key(key string) string {
	if s.path == "" {
		return key
	}
	return s.path + "." + key
}

// title returns how messages name the table.
func (s scope) title() string {
	switch {
	case s.path == "":
		return "the top level"
	case s.several:
		return "[[" + s.path + "]]"
	}
	return "[" + s.path + "]"
}

// tableType reports whether a field of type t is written as a table, or as
// several, and the type of one.
func tableType(t reflect.Type) (table reflect.Type, several, ok bool) {
	several = t.Kind() == reflect.Slice
	if several || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	ok = t.Kind() == reflect.Struct && wants(reflect.New(t).Interface()) == ""
	return t, several && ok, ok
}

// fields returns the fields that are keys of a table of type t; those of an
// embedded struct are the table's own.
func fields(t reflect.Type) []reflect.StructField {
	return slices.DeleteFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return f.Anonymous })
}

// table fills the struct v from a table, key by key.
func (c *checker) table(v reflect.Value, e *entry, s scope) {
	t := v.Type()
	names := keyNames(t)
	for i, f := range fields(t) {
		c.field(v.FieldByIndex(f.Index), f.Tag, e, s, names[i])
	}
	for _, name := range e.names {
		if !slices.Contains(names, name) {
			c.faultAt(e.child[name].key, "unknown key %s in %s", quote(name), s.title()).suggest("%s", keyHint(name, t, s))
		}
	}
}

// field fills a field with its default, then from its key in a table. A value
// at fault leaves the default, lest one mistake be reported twice; so does one
// whose fault is noted already, where another table has it.
func (c *checker) field(v reflect.Value, tag reflect.StructTag, table *entry, s scope, key string) {
	fillDefault(v, tag)
	hint, required := tag.Lookup("required")
	if e := table.child[key]; e != nil && !e.bad {
		c.value(v, tag, e, s, key)
	} else if e == nil && required {
		c.faultAt(table.value, "%s has no %s", s.title(), key).suggest("%s", hint)
	}
}

// fillDefault fills a field as if the file did not have it.
func fillDefault(v reflect.Value, tag reflect.StructTag) {
	if _, several, ok := tableType(v.Type()); ok {
		if v.Kind() == reflect.Struct && !several {
			blank(v)
		}
		return
	}
	words := strings.Fields(tag.Get("default"))
	switch {
	case len(words) == 0:
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), len(words), len(words)))
		for i, w := range words {
			scan(v.Index(i).Addr().Interface(), w)
		}
	default:
		scan(v.Addr().Interface(), words[0])
	}
}

// blank fills a struct as if the file had its table, without any key.
func blank(v reflect.Value) {
	new(checker).table(v, newTable(0), scope{})
}

// value fills v from a key's value.
func (c *checker) value(v reflect.Value, tag reflect.StructTag, e *entry, s scope, key string) {
	t, several, ok := tableType(v.Type())
	switch {
	case v.Kind() == reflect.Slice:
		c.list(v, tag, e, s, key)
	case !ok:
		c.plain(v, tag, e, s.key(key))
	case e.kind != unstable.Table:
		c.mismatch(e, s.key(key), "a table").suggest("%s", tableHint(s.enter(key, several)))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(t))
		v = v.Elem()
		fallthrough
	default:
		c.table(v, e, s.enter(key, several))
	}
}

// list fills a slice from a list. An element at fault stays zero, so that the
// others keep their index.
func (c *checker) list(v reflect.Value, tag reflect.StructTag, e *entry, s scope, key string) {
	_, several, _ := tableType(v.Type())
	switch {
	case e.kind != unstable.Array && several:
		c.mismatch(e, s.key(key), "a list of tables").suggest("%s", tableHint(s.enter(key, several)))
		return
	case e.kind != unstable.Array:
		c.mismatch(e, s.key(key), "a list").suggest("put it in brackets: %s = [ … ]", key)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(e.items), len(e.items)))
	for i, element := range e.items {
		switch {
		case element.bad: // noted already
		case !several:
			c.plain(v.Index(i), tag, element, s.key(key))
		case element.kind == unstable.Table:
			c.table(v.Index(i), element, s.enter(key, several))
		default:
			c.mismatch(element, s.key(key), "tables")
			blank(v.Index(i))
		}
	}
}

// plain fills v, which is neither a table nor a list.
func (c *checker) plain(v reflect.Value, tag reflect.StructTag, e *entry, name string) {
	target := v.Addr().Interface()
	if !takes(target, e.kind) {
		c.mismatch(e, name, wants(target)).suggest("%s", kindHint(target, e))
		return
	}
	if problem, hint := scan(target, e.text); problem != "" {
		c.bad(e, "%s: %s %s", name, quote(e.text), problem).suggest("%s", hint)
		return
	}
	if words := strings.Fields(tag.Get("oneof")); len(words) > 0 && !slices.Contains(words, e.text) {
		c.bad(e, "%s is %s; it takes %s", name, quote(e.text), list(words)).suggest("%s", choiceHint(e.text, words))
	}
	if low, high, ok := limits(tag); ok && (v.Int() < low || v.Int() > high) {
		from, to, _ := strings.Cut(tag.Get("range"), " ")
		c.bad(e, "%s is %v; it takes %s to %s", name, v, from, to)
		v.SetZero()
	}
}

// limits returns the numbers of a range tag; durations count in nanoseconds.
func limits(tag reflect.StructTag) (low, high int64, ok bool) {
	l, h, ok := strings.Cut(tag.Get("range"), " ")
	return limit(l), limit(h), ok
}

// limit is one end of a range.
func limit(word string) int64 {
	if d, err := time.ParseDuration(word); err == nil {
		return int64(d)
	}
	n, _ := strconv.ParseInt(word, 10, 64)
	return n
}

// mismatch faults a value of the wrong kind.
func (c *checker) mismatch(e *entry, name, want string) *finding {
	return c.bad(e, "%s takes %s, not %s", name, want, kindName(e.kind))
}

// bad faults a value and marks it.
func (c *checker) bad(e *entry, format string, args ...any) *finding {
	e.bad = true
	return c.faultAt(e.value, format, args...)
}
