package policy

import (
	"testing"
	"time"
)

// TestWhatNobodyHasRoomForIsSpreadOverAll holds that newcomers beyond all
// capacity don't herd to the gateway that was the last to be known as full.
func TestWhatNobodyHasRoomForIsSpreadOverAll(t *testing.T) {
	for _, choose := range []Choose{Sticky, LeastLoaded, SelfFirst} {
		t.Run(string(choose), func(t *testing.T) {
			cfg, view := site()
			cfg.Gateways, cfg.Choose, cfg.Overload = gateways(4), choose, 0.9
			cfg.Gateways[0].Self = true
			view.Loads = map[string]Load{}
			for i, g := range cfg.Gateways {
				view.Health[g.Addresses[0]] = Health{State: Up}
				view.Loads[g.Name] = Load{Sessions: 100 + 5*i, Capacity: 100, CPU: -1, At: start}
			}
			view.Loads["gw0"] = Load{Sessions: 85, Capacity: 100, CPU: -1, At: start}
			table, sent := decide(cfg, view, time.Second).Table, map[string]int{}
			for n := range uint32(4000) {
				sent[table.Pick(clientOf(n*40503)).Gateway]++
			}
			for _, g := range cfg.Gateways {
				if n := sent[g.Name]; n < 800 || n > 1200 {
					t.Errorf("%s: want about 1000 of 4000, got %d", g.Name, n)
				}
			}
		})
	}
}
