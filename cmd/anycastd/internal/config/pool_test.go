package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPool_that_takes_all_clients_leaves_none_out(t *testing.T) {
	t.Parallel()
	for name, tail := range map[string]string{
		"by its source":            "sources = [\"0.0.0.0/0\"]",
		"by having none":           "",
		"with a gateway to spare":  "sources = [\"192.0.2.0/24\"]\n[[gateway]]\nname = \"gw2\"\naddresses = [\"198.51.100.2\"]",
		"with one that stands in":  "sources = [\"192.0.2.0/24\"]\nfallback = [\"r\"]\n[[pool]]\nname = \"q\"\ngateways = [\"gw1\"]\n[[pool]]\nname = \"r\"\ngateways = [\"gw1\"]",
		"with another pool beside": "sources = [\"192.0.2.0/24\"]\n[[pool]]\nname = \"q\"\ngateways = [\"gw1\"]",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := Load("a.toml", strings.NewReader(addressed+"[[pool]]\nname = \"p\"\ngateways = [\"gw1\"]\n"+tail))
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"1:1: there is no BGP neighbor: nothing is announced"}
			if diff := cmp.Diff(want, brief(cfg.Warnings)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPool(t *testing.T) {
	t.Parallel()
	const pool = addressed + "[[pool]]\nname = \"p\"\ngateways = [\"gw1\"]\n"
	checkFaults(t, map[string]row{
		"refuses none":                            {addressed + "[[pool]]", []string{`5:3: [[pool]] has no name (give it one, such as name = "gold")`, "5:3: [[pool]] has no gateways (say which gateways serve it, by their names)"}},
		"refuses no gateways":                     {addressed + "[[pool]]\nname = \"p\"\ngateways = []", []string{`7:12: pool "p" has no gateways`}},
		"refuses an unknown gateway":              {addressed + "[[pool]]\nname = \"p\"\ngateways = [\"gw2\"]", []string{`7:13: there is no gateway "gw2" (did you mean "gw1"?)`}},
		"refuses a gateway twice":                 {addressed + "[[pool]]\nname = \"p\"\ngateways = [\"gw1\", \"gw1\"]", []string{"7:20: gateway gw1 occurs twice (it is on line 7 already)"}},
		"refuses the name of the other gateways":  {addressed + "[[pool]]\nname = \"everyone\"\ngateways = [\"gw1\"]", []string{`6:8: pool.name: "everyone" is what the gateways in no pool are called together (give the pool another name)`}},
		"refuses a name twice":                    {pool + "[[pool]]\nname = \"p\"\ngateways = [\"gw1\"]", []string{"9:8: pool p occurs twice (it is on line 6 already)"}},
		"refuses a source in two pools":           {pool + "sources = [\"192.0.2.0/24\"]\n[[pool]]\nname = \"q\"\ngateways = [\"gw1\"]\nsources = [\"192.0.2.0/24\"]", []string{"12:12: source 192.0.2.0/24 occurs twice (it is on line 8 already)"}},
		"refuses a source with host bits":         {pool + "sources = [\"192.0.2.1/24\"]", []string{`8:12: pool.sources: "192.0.2.1/24" has bits set behind its prefix length (write "192.0.2.0/24")`}},
		"refuses an empty identity":               {pool + "identities = [\"\"]", []string{"8:15: pool.identities: an identity is empty"}},
		"takes a later pool as fallback":          {pool + "fallback = [\"q\"]\n[[pool]]\nname = \"q\"\ngateways = [\"gw1\"]", nil},
		"takes two that stand in for each other":  {pool + "fallback = [\"q\"]\n[[pool]]\nname = \"q\"\ngateways = [\"gw1\"]\nfallback = [\"p\"]", nil},
		"refuses an unknown fallback":             {pool + "fallback = [\"sliver\"]\n[[pool]]\nname = \"silver\"\ngateways = [\"gw1\"]", []string{`8:13: there is no pool "sliver" (did you mean "silver"?)`}},
		"refuses a pool as its own fallback":      {pool + "fallback = [\"p\"]", []string{`8:13: pool "p" cannot fall back to itself`}},
		"refuses a fallback twice":                {pool + "fallback = [\"q\", \"q\"]\n[[pool]]\nname = \"q\"\ngateways = [\"gw1\"]", []string{"8:18: pool q occurs twice (it is on line 8 already)"}},
		"refuses a fallback without brackets":     {pool + "fallback = \"q\"", []string{"8:12: pool.fallback takes a list, not a string (put it in brackets: fallback = [ … ])"}},
		"refuses an unknown pool in [[discover]]": {pool + "[[discover]]\nname = \"example.net\"\npool = \"P\"", []string{`10:8: there is no pool "P" (did you mean "p"?)`}},
		"refuses a bad name in [[discover]]":      {pool + "[[discover]]\nname = \"a b\"", []string{`9:8: discover.name: "a b" has the character ' '`}},
	})
}
