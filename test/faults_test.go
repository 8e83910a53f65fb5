package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// wantReason waits until the reason of part, in the daemon's status, contains text.
func (a *anycastd) wantReason(what, text string, part func(status) []string) {
	a.host.Lab.Eventually(fmt.Sprintf("%s tells of %s: %q", a.Name, what, text), patience, func() error {
		s, err := a.status()
		if err != nil {
			return err
		}
		all := strings.Join(part(s), "\n")
		if !strings.Contains(all, text) {
			return errors.New(all)
		}
		return nil
	})
}

func routeReasons(s status) (out []string) {
	for _, r := range s.Routes {
		out = append(out, r.State+": "+r.Reason)
	}
	return out
}

func recordReasons(s status) (out []string) {
	for _, r := range s.Records {
		out = append(out, r.Name+": "+r.Reason)
	}
	return out
}

func peerReasons(s status) (out []string) {
	for _, p := range s.Peers {
		out = append(out, p.State+": "+p.Reason)
	}
	return out
}

func TestANeighborThatIsDownIsToldAndComesBack(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate"))
	standIns(t, f)
	f.bird.Stop()
	daemon := startAnycastd(f.front, f.config())
	daemon.wantReason("the neighbor", "connection refused", peerReasons)
	daemon.wantReason("the route", "no neighbor is established", routeReasons)
	if _, err := f.front.Try(program(), "probe", anycast4); err != nil {
		t.Errorf("the rest must go on: %v", err)
	}
	daemon.wantReason("the service name", "waits until", recordReasons)
	if len(daemon.Lines("connection refused")) == 0 {
		t.Error("no log line says why")
	}
	f.bird = startBIRD(f.router, fabricBIRD())
	awaitRoute(f.router, prefix4, "via "+front4)
	daemon.awaitState("in service")
	daemon.awaitStatus("publishes what clients can reach now", allPublished)
}

func TestADNSServerThatIsDownOrRefusesTheKeyIsToldAndTriedAgain(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate"))
	standIns(t, f)
	f.bind.Stop()
	daemon := startAnycastd(f.front, f.config("ttl = 5", "ttl = 7"))
	awaitRoute(f.router, prefix4, "via "+front4)
	daemon.wantReason("the records", "connection refused", recordReasons)
	if got := len(daemon.Lines("can't bring it about")); got == 0 {
		t.Error("no log line says so")
	}
	f.bind = startBIND(f.dns, testZone)
	daemon.awaitStatus("publishes when the server is back", allPublished)
	daemon.Stop()

	f.front.File("tsig.key", "d3Jvbmc=")
	wrong := f.config("ttl = 5", "ttl = 9")
	f.front.File("tsig.key", "d3Jvbmc=")
	daemon = startAnycastd(f.front, wrong)
	daemon.wantReason("the records", "secret", recordReasons)
	awaitRoute(f.router, prefix4, "via "+front4)
	if _, err := f.front.Try(program(), "probe", anycast4); err != nil {
		t.Errorf("the rest must go on: %v", err)
	}
}

func TestWithoutDummyLinksTheAddressesGoOnLoWithAWarning(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate"))
	if _, err := f.dns.Try("ip", "link", "add", "name", "probe0", "type", "dummy"); err == nil {
		t.Skip("this kernel makes dummy links, so that none is missing")
	}
	standIns(t, f)
	daemon := startAnycastd(f.front, f.config(`interface = "lo"`, `interface = "anycast0"`))
	daemon.awaitState("in service")
	awaitRoute(f.router, prefix4, "via "+front4)
	if lines := daemon.Lines(`this kernel has no dummy links: the addresses go on lo; interface = \"lo\" says the same without this warning`); len(lines) != 1 {
		t.Errorf("want one warning that names the way out, got %v", lines)
	}
}

func TestAnotherIKEDaemonOnThePortIsNamedAndItsEndAwaited(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate", charonProgram, "swanctl"))
	standIns(t, f)
	other := startCharon(f.front, gatewayConf(testSecret))
	daemon := startAnycastd(f.front, f.config())
	daemon.wantReason("the route", fmt.Sprintf("is taken by charon (process %d); let it bind its own addresses only "+
		"or run it in a network namespace of its own, or set port_conflict = \"nft\"", other.PID()), routeReasons)
	if route := kernelRoute(f.router, prefix4); route != "" {
		t.Errorf("announced without a socket: %s", route)
	}
	other.Stop()
	awaitRoute(f.router, prefix4, "via "+front4)
	daemon.awaitState("in service")
}

func TestAnAddressThatSomebodyRemovesComesBack(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate"))
	standIns(t, f)
	daemon := startAnycastd(f.front, f.config())
	daemon.awaitState("in service")
	for _, address := range []string{anycast4 + "/32", anycast6 + "/128"} {
		f.front.Run("ip", "address", "del", address, "dev", "lo")
		f.Eventually(address+" is back", patience, func() error {
			if out := f.front.Run("ip", "address", "show", "dev", "lo"); !strings.Contains(out, address) {
				return errors.New(out)
			}
			return nil
		})
	}
	if got := daemon.Stop(); got != 0 {
		t.Errorf("exit code %d", got)
	}
}

func TestAReloadWithFaultsKeepsTheRunningConfiguration(t *testing.T) {
	f := newFabric(newLab(t, "bird", "birdc", "named", "dig", "nsupdate"))
	standIns(t, f)
	daemon := startAnycastd(f.front, f.config())
	daemon.awaitState("in service")

	f.front.File("anycastd.toml", f.config("weight", "wait", `name      = "gw2"`, `name = "gw1"`))
	daemon.Signal(syscall.SIGHUP)
	daemon.Await("the running configuration stays")
	out, err := daemon.try("reload")
	if err == nil || !strings.Contains(out, "anycastd.toml:") {
		t.Errorf("reload of a faulty file: want its faults, got %v\n%s", err, out)
	}
	daemon.awaitState("in service")

	f.front.File("anycastd.toml", f.config(`name      = "gw2"`, "name = \"gw2\"\nweight = 0"))
	if out, err := daemon.try("reload"); err != nil || out != "reloaded" {
		t.Errorf("reload: %v\n%s", err, out)
	}
	daemon.awaitStatus("no longer uses gw2", func(s status) error {
		if g := s.Gateways[1]; g.Usable || g.Reason != "weight 0" {
			return fmt.Errorf("%+v", g)
		}
		return nil
	})
}

// TestCheckTellsAllFaultsAtOnce is the program's own part of what package
// config tests in depth.
func TestCheckTellsAllFaultsAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bad.toml")
	bad := "[anycast]\nprefixes = [\"203.0.113.1/24\"]\naddresses = [\"203.0.113.1\"]\n\n[ike]\nprots = [500]\n\n[policy]\nchoose = 7\n"
	if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"check", "run"} {
		out, code := runProgram(t, "", verb, "-C", path)
		if code != 1 {
			t.Errorf("%s: want exit code 1, got %d", verb, code)
		}
		for _, want := range []string{path + ":2:13: ", path + ":6:1: ", path + ":9:10: "} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: want a fault at %s in\n%s", verb, want, out)
			}
		}
		if carets, hints := strings.Count(out, "^"), strings.Count(out, "hint: "); carets < 3 || hints < 3 {
			t.Errorf("%s: want a caret and a hint for each, got %d and %d in\n%s", verb, carets, hints, out)
		}
	}
}

func TestTheReferenceConfigurationIsGood(t *testing.T) {
	reference, code := runProgram(t, "", "default")
	if code != 0 {
		t.Fatalf("default: exit code %d", code)
	}
	if out, code := runProgram(t, reference, "check", "-C", "-"); code != 0 {
		t.Errorf("anycastd default | anycastd check -C -: exit code %d\n%s", code, out)
	}
}

// configurations returns the n configurations in a page of the documentation.
func configurations(t *testing.T, page string, n int) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", page))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "```toml\n")[1:]
	if len(parts) != n {
		t.Fatalf("%s has %d configurations, want %d", page, len(parts), n)
	}
	for i, part := range parts {
		parts[i], _, _ = strings.Cut(part, "```")
	}
	return parts
}

func TestTheREADMEsConfigurationIsGood(t *testing.T) {
	config := configurations(t, "README.md", 1)[0]
	dir := t.TempDir()
	for name, content := range map[string]string{"anycastd.toml": config, "bgp-r1.key": "secret", "tsig.key": testKey.Secret} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := runProgram(t, "", "check", "-C", filepath.Join(dir, "anycastd.toml")); code != 0 || !strings.Contains(out, " 0 warnings") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestExitCodes(t *testing.T) {
	elsewhere := "[control]\nsocket = \"" + filepath.Join(t.TempDir(), "none.sock") + "\"\n"
	for name, tc := range map[string]struct {
		stdin string
		args  []string
		want  int
	}{
		"done":                     {"", []string{"version"}, 0},
		"no such file":             {"", []string{"check", "-C", "/nonexistent"}, 1},
		"nobody answers the probe": {"", []string{"probe", "127.0.0.1:9", "--timeout", "50ms"}, 1},
		"no such verb":             {"", []string{"chekc"}, 2},
		"no such flag":             {"", []string{"check", "--frob"}, 2},
		"an argument too few":      {"", []string{"explain"}, 2},
		"an argument too many":     {"", []string{"check", "x"}, 2},
		"no such format":           {"", []string{"status", "-o", "xml"}, 2},
		"no daemon":                {elsewhere, []string{"status", "-C", "-"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			if out, got := runProgram(t, tc.stdin, tc.args...); got != tc.want {
				t.Errorf("want exit code %d, got %d\n%s", tc.want, got, out)
			}
		})
	}
}
