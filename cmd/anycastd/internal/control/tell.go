package control

import (
	"slices"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/policy"
)

// tellChanges logs what the new plan says otherwise than the last.
func (l *Loop) tellChanges(last policy.Plan) {
	l.tellGateways(last.Gateways)
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

// tellMost is how many gateways are told of one by one; more are summed up.
const tellMost = 50

// tellGateways logs what is new about the gateways.
func (l *Loop) tellGateways(last []policy.GatewayPlan) {
	told := 0
	for i := range l.plan.Gateways {
		is := &l.plan.Gateways[i]
		was := gatewayOf(last, i, is.Name)
		if !differs(is, was) && !moved(is, was) {
			continue
		}
		if told++; told <= tellMost {
			l.tellGateway(is, was)
		}
	}
	if more := told - tellMost; more > 0 {
		l.log.Warn().Int("gateways", more).Msg("decided on more gateways; anycastd gateways shows them")
	}
}

// differs says whether it is decided otherwise now whether a gateway is usable.
func differs(is, was *policy.GatewayPlan) bool {
	return was == nil || was.Usable != is.Usable || was.Reason != is.Reason
}

// moved says whether a gateway has become overloaded or has recovered from that.
func moved(is, was *policy.GatewayPlan) bool {
	if was == nil {
		return is.Share.Over
	}
	return was.Share.Over != is.Share.Over || was.Share.Level < policy.FullShare && is.Share.Level == policy.FullShare && !is.Share.Over
}

// tellGateway logs what is new about a gateway, but for its load's ups and downs.
func (l *Loop) tellGateway(is, was *policy.GatewayPlan) {
	if differs(is, was) {
		worse := was != nil && was.Usable && !is.Usable
		l.log.WithLevel(level(worse)).Str("gateway", is.Name).Bool("usable", is.Usable).Str("reason", is.Reason).Msg("gateway decided")
	}
	if moved(is, was) {
		l.log.WithLevel(level(is.Share.Over)).Str("gateway", is.Name).Str("load", is.Burden()).Msg("gateway's share decided")
	}
}

// level is that of a log line that may tell of something worse than before.
func level(worse bool) zerolog.Level {
	if worse {
		return zerolog.WarnLevel
	}
	return zerolog.InfoLevel
}
