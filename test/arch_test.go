package test

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the path of this module.
const module = "github.com/anycastd/anycastd/"

// arrows says which of our packages a package, or one below it, may import:
// the longest key counts, and a package's own insides are always allowed but
// for ikefront's, which are packages in their own right.
var arrows = map[string][]string{
	"cmd/anycastd":   {"*"},
	"test":           {"*"},
	"ikefront":       {"ikefront/ike", "policy"},
	"ikefront/probe": {"ikefront/ike"},
	"ikefront/xdp":   {"ikefront/ike", "policy"},
	"ikefront/ike":   nil,
	"policy":         nil,
	"bgp":            nil,
	"netlink":        nil,
	"dnspub":         nil,
}

// libraries says by whom a third-party library may be imported, and under
// which name, if that is not its own.
var libraries = []struct {
	prefix string
	alias  map[string]string // of the import path
	homes  []string
}{
	{"github.com/osrg/gobgp/", map[string]string{
		"github.com/osrg/gobgp/v3/pkg/server": "gobgp", "github.com/osrg/gobgp/v3/api": "gobgpapi", "github.com/osrg/gobgp/v3/pkg/log": "gobgplog",
	}, []string{"bgp", "test", "cmd/anycastd/internal/demo"}},
	{"github.com/vishvananda/netlink", map[string]string{"github.com/vishvananda/netlink": "vnl"}, []string{"netlink", "test", "cmd/anycastd/internal/demo"}},
	{"github.com/miekg/dns", map[string]string{"github.com/miekg/dns": "miekgdns"}, []string{"dnspub", "test", "cmd/anycastd/internal/demo"}},
	{"github.com/google/nftables", nil, []string{"netlink", "test"}},
	{"github.com/cilium/ebpf", nil, []string{"ikefront/xdp", "test"}},
	{"github.com/prometheus/", nil, []string{"cmd/anycastd/internal", "test"}},
	{"github.com/spf13/cobra", nil, []string{"cmd/anycastd"}},
	{"github.com/pelletier/go-toml/", nil, []string{"cmd/anycastd/internal/config", "test"}},
	{"github.com/strongswan/govici", nil, []string{"cmd/anycastd", "test"}},
	{"github.com/coreos/go-systemd/", map[string]string{"github.com/coreos/go-systemd/v22/daemon": "systemd"}, []string{"cmd/anycastd"}},
	{"google.golang.org/grpc", nil, []string{"bgp"}},
	{"google.golang.org/protobuf", nil, []string{"bgp", "test", "cmd/anycastd/internal/demo"}},
	{"github.com/gaissmai/bart", nil, []string{"policy"}},
	{"github.com/dchest/siphash", nil, []string{"policy", "ikefront"}},
	{"github.com/stretchr/testify", nil, nil},
	{"github.com/spf13/viper", nil, nil},
	{"github.com/sirupsen/logrus", nil, nil},
}

// below says whether pkg is dir or lies in it.
func below(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// sources returns the path, from the module's root, of every Go file.
func sources(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".." {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files = append(files, filepath.ToSlash(strings.TrimPrefix(path, "../")))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestThePackagesImportWhatTheDesignAllows(t *testing.T) {
	for _, file := range sources(t) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", file), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		pkg := filepath.Dir(file)
		for _, spec := range f.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if ours, ok := strings.CutPrefix(path, module); ok {
				if !mayImport(pkg, ours) {
					t.Errorf("%s: package %s may not import %s", file, pkg, ours)
				}
				continue
			}
			checkLibrary(t, file, pkg, path, spec.Name)
		}
	}
}

// mayImport says whether pkg may import our package ours.
func mayImport(pkg, ours string) bool {
	best := ""
	for from := range arrows {
		if below(pkg, from) && len(from) > len(best) {
			best = from
		}
	}
	if best == "" {
		return false
	}
	return pkg == ours || slices.Contains(arrows[best], "*") || slices.Contains(arrows[best], ours)
}

// checkLibrary holds one import of a library to its home and alias.
func checkLibrary(t *testing.T, file, pkg, path string, name *ast.Ident) {
	t.Helper()
	for _, l := range libraries {
		if !strings.HasPrefix(path, l.prefix) {
			continue
		}
		if !slices.ContainsFunc(l.homes, func(home string) bool { return below(pkg, home) }) {
			t.Errorf("%s: %s may only be imported by %v", file, path, l.homes)
		}
		if alias := l.alias[path]; alias != "" && (name == nil || name.Name != alias) {
			t.Errorf("%s: %s must be imported as %s", file, path, alias)
		}
	}
}

func TestEveryFileIsFormatted(t *testing.T) {
	for _, file := range sources(t) {
		src, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		if formatted, err := format.Source(src); err != nil || !bytes.Equal(formatted, src) {
			t.Errorf("%s: not gofmt'd (%v)", file, err)
		}
	}
}

func TestVetIsClean(t *testing.T) {
	cmd := exec.Command("go", "vet", "-tags", "bench", "./...")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}

func TestNoPackageHasInitOrExitsOutsideMain(t *testing.T) {
	for _, file := range sources(t) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s: init()", file)
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "os" && n.Sel.Name == "Exit" && f.Name.Name != "main" && !strings.HasSuffix(file, "_test.go") {
					t.Errorf("%s: os.Exit outside package main", file)
				}
			}
			return true
		})
	}
}

// TestTheTopLevelIsThatOfTheDesign keeps other things out of the root.
func TestTheTopLevelIsThatOfTheDesign(t *testing.T) {
	allowed := []string{
		"go.mod", "go.sum", "README.md", "Dockerfile", "LICENSE", "Makefile", "cmd", "policy", "ikefront", "bgp", "netlink", "dnspub",
		"test", "docs", "packaging", "bin", // bin is built and ignored by git
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}
