package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anycastd/anycastd/dnspub"
)

func TestSecret_files(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "empty", " \n", 0o600)
	write(t, dir, "lines", "a\nb\n", 0o600)
	write(t, dir, "long", strings.Repeat("x", 81)+"\n", 0o600)
	write(t, dir, "longer", strings.Repeat("x", maxSecret+1), 0o600)
	write(t, dir, "good", strings.Repeat("x", 80)+"\r\n", 0o600)
	write(t, dir, "open", "word", 0o644)
	if err := os.Chmod(filepath.Join(dir, "open"), 0o644); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]string{
		"empty": {"8:17: DIR/empty: empty"}, "lines": {"8:17: a password is one line of text"},
		"long": {"8:17: the password is 81 octets long, more than 80"}, "longer": {"8:17: DIR/longer: longer than 16384 octets"},
		".": {"8:17: DIR: not a regular file"}, "none": {"8:17: DIR/none: no such file or directory"}, "": {"8:17: the name of the file is empty"},
		"good": nil, "open": nil,
	} {
		t.Run("as "+file, func(t *testing.T) {
			cfg, err := Load(filepath.Join(dir, "a.toml"), strings.NewReader(neighbor+"password_file = \""+file+"\""))
			var faults Faults
			errors.As(err, &faults)
			var got []string
			for _, line := range brief(faults) {
				line = strings.TrimPrefix(line, dir+"/a.toml:")
				got = append(got, strings.ReplaceAll(line, dir, "DIR"))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if file == "open" && (cfg == nil || !strings.Contains(Faults(cfg.Warnings).Error(), "can be read by everybody or written by its group (mode 0644)")) {
				t.Error("want a warning of a file open to others, got none")
			}
		})
	}
}

func TestSecret_files_of_TSIG_hold_base64_or_a_key_clause(t *testing.T) {
	dir := t.TempDir()
	const clause = "key \"k\" { algorithm hmac-sha512; secret \"c2VjcmV0\"; };"
	write(t, dir, "bare", "c2VjcmV0\n", 0o600)
	write(t, dir, "clause", clause+"\n", 0o600)
	write(t, dir, "junk", "key { }", 0o600)
	load := func(tsig string) (*Config, error) {
		return Load(filepath.Join(dir, "a.toml"), strings.NewReader(zone+tsig))
	}
	for tsig, want := range map[string]DNSZone{
		`tsig = { name = "K", secret_file = "bare" }`:                                {Name: "example.net.", TSIG: dnspub.TSIG{Name: "k.", Algorithm: "hmac-sha256", Secret: "c2VjcmV0"}},
		`tsig = { secret_file = "clause" }`:                                          {Name: "example.net.", TSIG: dnspub.TSIG{Name: "k.", Algorithm: "hmac-sha512", Secret: "c2VjcmV0"}},
		`tsig = { secret_file = "clause", name = "K." , algorithm = "hmac-sha512" }`: {Name: "example.net.", TSIG: dnspub.TSIG{Name: "k.", Algorithm: "hmac-sha512", Secret: "c2VjcmV0"}},
	} {
		cfg, err := load(tsig)
		if err != nil {
			t.Errorf("%s: %v", tsig, err)
		} else if diff := cmp.Diff(want, cfg.Zones[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tsig, diff)
		}
	}
	for tsig, want := range map[string]string{
		`tsig = { secret_file = "bare" }`:                              ":8:8: [dns.zone.tsig] has no name",
		`tsig = { secret_file = "junk" }`:                              ":8:24: junk: neither a base64 secret nor a key clause",
		`tsig = { secret_file = "clause", name = "j" }`:                ":8:41: the key clause in the secret file says k., not j.",
		`tsig = { secret_file = "clause", algorithm = "hmac-sha256" }`: ":8:46: the key clause in the secret file says hmac-sha512, not hmac-sha256",
	} {
		if _, err := load(tsig); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %s, got %v", tsig, want, err)
		}
	}
}

func TestA_cookie_secret_has_32_octets_at_least(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "short", strings.Repeat("x", 31)+"\n", 0o600)
	write(t, dir, "good", strings.Repeat("x", 32)+"\n", 0o600)
	load := func(file string) (*Config, error) {
		return Load(filepath.Join(dir, "a.toml"), strings.NewReader(service+"ike.cookie_secret_file = \""+file+"\"\n"))
	}
	if _, err := load("short"); err == nil || !strings.Contains(err.Error(), "short holds 31 octets, fewer than 32") {
		t.Errorf("got %v", err)
	}
	if cfg, err := load("good"); err != nil || cfg.CookieSecret != strings.Repeat("x", 32) {
		t.Errorf("got %v, %v", cfg, err)
	}
}
