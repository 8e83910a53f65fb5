package config

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// setting finds the settings that are commented out.
var setting = regexp.MustCompile(`(?m)^#([a-z_]+ *=|\[)`)

// schema calls visit for each plain key at and below the table type t.
func schema(t reflect.Type, path string, visit func(path string, f reflect.StructField)) {
	for _, f := range fields(t) {
		at := strings.TrimPrefix(path+"."+f.Tag.Get("toml"), ".")
		if sub, several, ok := tableType(f.Type); ok {
			if several {
				at = item(at, 0)
			}
			schema(sub, at, visit)
		} else {
			visit(at, f)
		}
	}
}

// parsed returns a text's tree.
func parsed(t *testing.T, text string) *document {
	t.Helper()
	d := newDocument("default.toml", []byte(text))
	if at, problem := d.parse(); problem != "" {
		line, column, _ := d.place(at)
		t.Fatalf("%d:%d: %s", line, column, problem)
	}
	return d
}

func TestReference_has_neither_faults_nor_warnings(t *testing.T) {
	cfg, err := Load("default.toml", strings.NewReader(Reference()))
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("want no warnings, got\n%s", Faults(cfg.Warnings))
	}
}

func TestReference_has_every_key_and_its_default(t *testing.T) {
	d := parsed(t, setting.ReplaceAllString(Reference(), "$1"))
	schema(reflect.TypeFor[file](), "", func(path string, f reflect.StructField) {
		e, whole := d.find(path)
		if !whole {
			t.Errorf("want %s, got none", path)
			return
		}
		want, ok := f.Tag.Lookup("default")
		if !ok {
			return
		}
		got := e.text
		for _, element := range e.items {
			got = strings.TrimSpace(got + " " + element.text)
		}
		if got != want {
			t.Errorf("%s: want %s, got %s", path, want, got)
		}
	})
}

func TestReference_names_every_word_a_key_takes(t *testing.T) {
	schema(reflect.TypeFor[file](), "", func(path string, f reflect.StructField) {
		for _, word := range strings.Fields(f.Tag.Get("oneof")) {
			if !strings.Contains(Reference(), word) {
				t.Errorf("%s: want %s, got none", path, word)
			}
		}
	})
}

func TestReference_is_valid_with_all_settings_but_for_secret_files(t *testing.T) {
	_, err := Load("a.toml", strings.NewReader(setting.ReplaceAllString(Reference(), "$1")))
	var got []string
	for _, line := range strings.Split(err.Error(), "\n") {
		if _, message, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(line, "a.toml:") {
			got = append(got, message)
		}
	}
	want := []string{"cookie.key", "bgp.key", "bgp-r1.key", "tsig.key", "report.secret", "report.crt", "report.key", "gateways.crt"}
	for i := range want {
		want[i] += ": no such file or directory"
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReference_as_it_is_says_the_same_without_its_commented_settings(t *testing.T) {
	load := func(text string) *Config {
		cfg, err := Load("default.toml", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	bare := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(Reference(), "")
	if diff := cmp.Diff(load(bare), load(Reference()), compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSchema_has_defaults_that_its_own_types_and_limits_admit(t *testing.T) {
	schema(reflect.TypeFor[file](), "", func(path string, f reflect.StructField) {
		one := f.Type
		if one.Kind() == reflect.Slice {
			one = one.Elem()
		}
		for _, word := range strings.Fields(f.Tag.Get("default")) {
			v := reflect.New(one)
			if problem, _ := scan(v.Interface(), word); problem != "" {
				t.Errorf("%s: the default %s %s", path, word, problem)
			}
			if low, high, ok := limits(f.Tag); ok && (v.Elem().Int() < low || v.Elem().Int() > high) {
				t.Errorf("%s: want %d to %d, got %s", path, low, high, word)
			}
			if words := strings.Fields(f.Tag.Get("oneof")); len(words) > 0 && !strings.Contains(" "+strings.Join(words, " ")+" ", " "+word+" ") {
				t.Errorf("%s: want one of %v, got %s", path, words, word)
			}
		}
	})
}
