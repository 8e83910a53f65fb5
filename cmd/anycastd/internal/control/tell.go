package control

import (
	"slices"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/policy"
)

// tellChanges logs what the new plan says otherwise than the last.
func (l *Loop) tellChanges(last policy.Plan) {
	for i := range l.plan.Gateways {
		l.tellGateway(&l.plan.Gateways[i], gatewayOf(last.Gateways, i, l.plan.Gateways[i].Name))
	}
	if s := &l.plan.Site; s.Fitness != last.Site.Fitness {
		l.log.WithLevel(level(s.Fitness != policy.Fit)).Str("site", string(s.Fitness)).Str("reason", s.Reason).Msg("site decided")
	}
	for _, r := range l.plan.Routes {
		i := slices.IndexFunc(last.Routes, func(o policy.RoutePlan) bool { return o.Prefix == r.Prefix })
		if i < 0 || last.Routes[i].Wish != r.Wish || last.Routes[i].Reason != r.Reason {
			worse := i >= 0 && last.Routes[i].Wish == policy.Announced && r.Wish != policy.Announced
			l.log.WithLevel(level(worse)).Stringer("prefix", r.Prefix).Str("route", string(r.Wish)).Str("reason", r.Reason).Msg("route decided")
		}
	}
	for _, r := range last.Routes {
		if _, still := l.view.Routes[r.Prefix]; !still {
			l.log.Info().Stringer("prefix", r.Prefix).Msg("route gone")
		}
	}
}

// gatewayOf returns what all says of the gateway with this name, most probably
// at i; nil if it says nothing.
func gatewayOf(all []policy.GatewayPlan, i int, name string) *policy.GatewayPlan {
	if i >= len(all) || all[i].Name != name {
		i = slices.IndexFunc(all, func(g policy.GatewayPlan) bool { return g.Name == name })
	}
	if i < 0 {
		return nil
	}
	return &all[i]
}

// tellGateway logs what is new about a gateway, but for its load's ups and downs.
func (l *Loop) tellGateway(is, was *policy.GatewayPlan) {
	if was == nil || was.Usable != is.Usable || was.Reason != is.Reason {
		worse := was != nil && was.Usable && !is.Usable
		l.log.WithLevel(level(worse)).Str("gateway", is.Name).Bool("usable", is.Usable).Str("reason", is.Reason).Msg("gateway decided")
	}
	over := was != nil && was.Share.Over
	back := was != nil && was.Share.Level < policy.FullShare && is.Share.Level == policy.FullShare
	if over != is.Share.Over || back && !over {
		l.log.WithLevel(level(is.Share.Over)).Str("gateway", is.Name).Str("load", is.Burden).Msg("gateway's share decided")
	}
}

// level is that of a log line that may tell of something worse than before.
func level(worse bool) zerolog.Level {
	if worse {
		return zerolog.WarnLevel
	}
	return zerolog.InfoLevel
}
