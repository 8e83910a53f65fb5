package control

import (
	"context"
	"maps"
	"slices"

	"github.com/anycastd/anycastd/cmd/anycastd/internal/config"
	"github.com/anycastd/anycastd/dnspub"
)

// zone is one DNS zone's keeper.
type zone struct {
	cfg       config.DNSZone
	publisher Publisher
	keeper    *keeper[[]dnspub.Record]
	stop      context.CancelFunc
}

// startZones makes the running publishers those of the configuration. A zone
// that left it keeps its records: other front-ends may share them.
func (l *Loop) startZones() {
	wanted := map[string]config.DNSZone{}
	for _, z := range l.cfg.Zones {
		wanted[z.Name] = z
	}
	for name, z := range l.zones {
		if wanted[name] != z.cfg {
			z.stop()
			delete(l.zones, name)
			delete(l.asked.records, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if l.zones[name] == nil {
			l.startZone(wanted[name])
		}
	}
}

// startZone starts the publisher of one zone.
func (l *Loop) startZone(cfg config.DNSZone) {
	p := l.parts.Publisher(cfg)
	z := &zone{cfg: cfg, publisher: p}
	z.keeper = newKeeper("zone "+cfg.Name, l.log, p.Set, func([]dnspub.Record, error) {})
	ctx, stop := context.WithCancel(l.ctx)
	z.stop = stop
	l.tasks.Go(func() { z.keeper.run(ctx) })
	l.zones[cfg.Name] = z
}
