package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReportRefusesFlagsThatCantWork(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, empty, absent := file("key", "secret\n"), file("empty", " \n"), filepath.Join(dir, "absent")
	for name, tc := range map[string]struct {
		args string
		code int
		want string
	}{
		"no name":               {"--to http://192.0.2.1 --secret-file " + key, exitUsage, "--gateway is missing"},
		"nobody to tell":        {"--gateway gw1 --secret-file " + key, exitUsage, "--to is missing"},
		"no proof":              {"--gateway gw1 --to http://192.0.2.1", exitUsage, "neither --secret-file nor --cert"},
		"half a certificate":    {"--gateway gw1 --to https://192.0.2.1 --cert " + key, exitUsage, "--cert and --key go together"},
		"a certificate by http": {"--gateway gw1 --to http://192.0.2.1 --cert x --key y", exitUsage, `--to "http://192.0.2.1" shows no certificate`},
		"no URL":                {"--gateway gw1 --to 192.0.2.1 --secret-file " + key, exitUsage, `front-end "192.0.2.1" is neither http://HOST:PORT nor`},
		"no VICI address":       {"--gateway gw1 --to http://192.0.2.1 --vici x --secret-file " + key, exitUsage, `VICI address "x" is neither`},
		"too often":             {"--gateway gw1 --to http://192.0.2.1 --every 10ms --secret-file " + key, exitUsage, "--every: 10ms is not 1s to 1h"},
		"no capacity":           {"--gateway gw1 --to http://192.0.2.1 --capacity -1 --secret-file " + key, exitUsage, "--capacity: -1 is not 0 to 2147483647"},
		"a word too many":       {"gw1", exitUsage, "usage: anycastd report"},
		"no secret there":       {"--gateway gw1 --to http://192.0.2.1 --secret-file " + absent, exitProblem, absent + ": no such file"},
		"an empty secret":       {"--gateway gw1 --to http://192.0.2.1 --secret-file " + empty, exitProblem, empty + " is empty\nhint: openssl rand"},
		"no certificate there":  {"--gateway gw1 --to https://192.0.2.1 --cert " + key + " --key " + key, exitProblem, key + " and " + key + ": "},
		"no authorities there":  {"--gateway gw1 --to https://192.0.2.1 --secret-file " + key + " --ca " + absent, exitProblem, absent + ": no such file"},
		"no authorities in it":  {"--gateway gw1 --to https://192.0.2.1 --secret-file " + key + " --ca " + key, exitProblem, key + " holds no certificate"},
		"no charon":             {"--once --gateway gw1 --to http://192.0.2.1 --secret-file " + key + " --vici unix:" + absent, exitProblem, "VICI unix:" + absent},
	} {
		var out bytes.Buffer
		code := command(t.Context(), append([]string{"report"}, strings.Fields(tc.args)...), nil, &out, &out)
		if code != tc.code || !strings.Contains(out.String(), tc.want) {
			t.Errorf("%s: want %d and %q, got %d and %q", name, tc.code, tc.want, code, out.String())
		}
	}
}
