package config

import (
	"slices"

	"github.com/anycastd/anycastd/policy"
)

// maxMean is the highest mean load that a site may be told to bear; gateways
// can take more clients than their capacity says, but hardly ten times as many.
const maxMean = 10

// site checks [policy.site].
func (c *checker) site(raw *siteTable, routes *bgpTable, cfg *Config) {
	cfg.Policy.Site = policy.Site{
		MinGateways: int(raw.MinGateways), WhenShort: policy.SiteAction(raw.WhenShort),
		Overload: raw.Overload, OverloadFor: raw.OverloadFor, Relief: raw.Relief, ReliefFor: raw.ReliefFor,
		WhenOverloaded: policy.SiteAction(raw.WhenOverloaded), WhenDark: policy.SiteAction(raw.WhenDark), Hold: raw.Hold,
	}
	if !(raw.Overload > 0 && raw.Overload <= maxMean) { // NaN included
		c.fault("policy.site.overload", "policy.site.overload is %v; it takes more than 0, at most %d", raw.Overload, maxMean)
	} else if !(raw.Relief >= 0 && raw.Relief < raw.Overload) && !c.faulty("policy.site.relief") {
		c.fault("policy.site.relief", "policy.site.relief is %v; it takes 0 or more, and less than policy.site.overload, %v", raw.Relief, raw.Overload).
			suggest("the wider apart the two are, the fewer route changes there are")
	}
	c.preferredLess("policy.site.when_short", raw.WhenShort, routes, cfg)
	c.preferredLess("policy.site.when_overloaded", raw.WhenOverloaded, routes, cfg)
	c.preferredLess("policy.site.when_dark", raw.WhenDark, routes, cfg)
	c.shortage(raw, cfg)
}

// preferredLess checks that routes can be made worse if that is what to do.
func (c *checker) preferredLess(path, action string, routes *bgpTable, cfg *Config) {
	if action == string(policy.MakeWorse) && c.sameness(routes, cfg) {
		c.fault(path, "%s = \"worse\", and [bgp.worse] has nothing that makes a route so", path).
			suggest("say what the fabric prefers less, such as communities = [\"64500:80\"], med = 100 or prepend = 2")
	}
}

// shortage warns of limits that are never met, or always.
func (c *checker) shortage(raw *siteTable, cfg *Config) {
	least, have := int(raw.MinGateways), len(cfg.Policy.Gateways)
	switch {
	case least == 0 && raw.WhenShort != string(policy.Ignore):
		c.warn("policy.site.when_short", "policy.site.min_gateways is 0: the site is never short of gateways").suggest("say how many usable ones it needs: min_gateways = 2")
	case least > have && have > 0:
		c.warn("policy.site.min_gateways", "policy.site.min_gateways is %d, of %d in all: the site is always short of gateways", least, have)
	}
}

// loads warns of what goes by loads if no gateway's can be known.
func (c *checker) loads(raw *file, cfg *Config) {
	if len(raw.Gateway) == 0 || raw.Report.Listen != "" || slices.ContainsFunc(raw.Gateway, func(g gatewayTable) bool { return g.VICI != "" }) {
		return
	}
	const hint = "let gateways be asked, by vici, or report: [report] listen"
	if raw.Policy.Choose == string(policy.LeastLoaded) {
		c.warn("policy.choose", "policy.choose = \"least-loaded\", and no gateway's load is known").suggest(hint)
	}
	if when := raw.Policy.Site.WhenOverloaded; when != string(policy.Ignore) {
		c.warn("policy.site.when_overloaded", "policy.site.when_overloaded = %q, and no gateway's load is known", when).suggest(hint)
	}
}
