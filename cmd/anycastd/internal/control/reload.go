package control

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
)

// Reload makes cfg the running configuration. It changes nothing and returns
// an error if cfg differs in what only a restart can change.
func (l *Loop) Reload(ctx context.Context, cfg *config.Config) error {
	var err error
	if asked := l.ask(ctx, l.events, func() {
		if fixed := needRestart(l.cfg, cfg); len(fixed) > 0 {
			err = fmt.Errorf("only a restart can change %s; the running configuration stays", strings.Join(fixed, ", "))
			return
		}
		l.configure(cfg)
	}); asked != nil {
		return asked
	}
	return err
}

// needRestart lists the keys in which a and b differ though no reload can
// change them.
func needRestart(a, b *config.Config) []string {
	var keys []string
	for _, k := range []struct {
		key     string
		changed bool
	}{
		{"node.name", a.Name != b.Name},
		{"node.state_dir", a.StateDir != b.StateDir},
		{"anycast.interface", a.Interface != b.Interface},
		{"anycast.reply_table or reply_priority", a.ReplyTable != b.ReplyTable || a.ReplyPriority != b.ReplyPriority},
		{"ike.sockets", a.Sockets != b.Sockets},
		{"ike.cookie, cookie_above or cookie_secret_file", a.Cookie != b.Cookie || a.CookieAbove != b.CookieAbove || a.CookieSecret != b.CookieSecret},
		{"ike.unsupported", a.Unsupported != b.Unsupported},
		{"report.listen, or whether there is a report.cert_file", a.Report.Listen != b.Report.Listen || a.Report.TLS() != b.Report.TLS()},
		{"ike.reply_limit, reply_limit_source or error_limit", a.ReplyLimit != b.ReplyLimit || a.SourceLimit != b.SourceLimit || a.ErrorLimit != b.ErrorLimit},
		{"ike.port_conflict", a.PortConflict != b.PortConflict},
		{"bgp.asn", a.BGP.ASN != b.BGP.ASN},
		{"bgp.router_id", a.BGP.RouterID != b.BGP.RouterID},
		{"bgp.listen_port", a.BGP.ListenPort != b.BGP.ListenPort},
		{"bgp.listen_addresses", !slices.Equal(a.BGP.Listen, b.BGP.Listen)},
		{"bgp.next_hop", !slices.Equal(a.BGP.NextHops, b.BGP.NextHops)},
		{"bgp.neighbor (the first one)", len(a.BGP.Neighbors) == 0 && len(b.BGP.Neighbors) > 0},
		{"control.socket", a.Socket != b.Socket},
		{"control.http", a.HTTP != b.HTTP},
	} {
		if k.changed {
			keys = append(keys, k.key)
		}
	}
	return keys
}
