package control

import (
	"slices"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/policy"
)

// tellChanges logs what the new plan says otherwise than the last.
func (l *Loop) tellChanges(last policy.Plan) {
	for _, g := range l.plan.Gateways {
		i := slices.IndexFunc(last.Gateways, func(o policy.GatewayPlan) bool { return o.Name == g.Name })
		if i < 0 || last.Gateways[i].Usable != g.Usable || last.Gateways[i].Reason != g.Reason {
			worse := i >= 0 && last.Gateways[i].Usable && !g.Usable
			l.log.WithLevel(level(worse)).Str("gateway", g.Name).Bool("usable", g.Usable).Str("reason", g.Reason).Msg("gateway decided")
		}
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

// level is that of a log line that may tell of something worse than before.
func level(worse bool) zerolog.Level {
	if worse {
		return zerolog.WarnLevel
	}
	return zerolog.InfoLevel
}
