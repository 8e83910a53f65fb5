package probe

import (
	"testing"
	"time"
)

// ms is n milliseconds.
func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func TestTheProbesLeftToASilentTargetEndWhenItIsToBeDown(t *testing.T) {
	every := ms(1000)
	for name, tc := range map[string]struct {
		target           Target
		silences         int
		left, spread, to time.Duration
	}{
		"answered: Every later":                           {Target{Timeout: ms(500), Fall: 3}, 0, ms(3000), 0, ms(1000)},
		"answered, spread: a tenth less":                  {Target{Timeout: ms(500), Fall: 3}, 0, ms(3000), ms(100), ms(900)},
		"answered, Timeout = Every: Every later":          {Target{Timeout: ms(1000), Fall: 5}, 0, ms(5000), 0, ms(1000)},
		"Fall 1: its time-out ends at Every":              {Target{Timeout: ms(300), Fall: 1}, 0, ms(1000), 0, ms(700)},
		"Fall 1, spread: no earlier than it must":         {Target{Timeout: ms(300), Fall: 1}, 0, ms(1000), ms(100), ms(700)},
		"Fall 1, tiny Timeout: the spread is enough":      {Target{Timeout: ms(1), Fall: 1}, 0, ms(1000), ms(100), ms(900)},
		"Fall 1, Timeout = Every/2":                       {Target{Timeout: ms(500), Fall: 1}, 0, ms(1000), ms(50), ms(500)},
		"Fall 1, Timeout = Every: half of Every":          {Target{Timeout: ms(1000), Fall: 1}, 0, ms(1000), 0, ms(500)},
		"Fall 2, one silent":                              {Target{Timeout: ms(500), Fall: 2}, 1, ms(1050), 0, ms(550)},
		"Fall 2, one silent, tiny Timeout: at most Every": {Target{Timeout: ms(1), Fall: 2}, 1, ms(1100), 0, ms(1000)},
		"Fall 2, Timeout = Every: at least Every/10":      {Target{Timeout: ms(1000), Fall: 2}, 1, ms(1000), 0, ms(100)},
		"Fall 3, one silent: evenly":                      {Target{Timeout: ms(500), Fall: 3}, 1, ms(2000), 0, ms(750)},
		"Fall 3, two silent: the same again":              {Target{Timeout: ms(500), Fall: 3}, 2, ms(1250), 0, ms(750)},
		"Fall 3, Timeout = Every":                         {Target{Timeout: ms(1000), Fall: 3}, 1, ms(2050), 0, ms(525)},
		"Fall 5, one silent":                              {Target{Timeout: ms(500), Fall: 5}, 1, ms(4000), 0, ms(875)},
		"Fall 5, three silent, tiny Timeout":              {Target{Timeout: ms(1), Fall: 5}, 3, ms(1801), 0, ms(900)},
		"silent, no spread":                               {Target{Timeout: ms(500), Fall: 3}, 1, ms(2000), ms(100), ms(750)},
		"too late already: Every/10":                      {Target{Timeout: ms(500), Fall: 3}, 1, -time.Hour, 0, ms(100)},
		"down: Every":                                     {Target{Timeout: ms(500), Fall: 3}, 3, -time.Hour, ms(20), ms(980)},
		"down, Fall 1: Every":                             {Target{Timeout: ms(500), Fall: 1}, 1, -time.Hour, 0, ms(1000)},
		"Fall was lowered":                                {Target{Timeout: ms(500), Fall: 2}, 4, -time.Hour, 0, ms(1000)},
	} {
		t.Run(name, func(t *testing.T) {
			tc.target.Every = every
			if got := tc.target.pause(tc.silences, tc.left, tc.spread); got != tc.to {
				t.Errorf("want %v, got %v", tc.to, got)
			}
		})
	}
}

func TestNoProofIsOlderThanItsGraceUnlessSomethingHeldUpTheProbes(t *testing.T) {
	for name, tc := range map[string]struct {
		target Target
		want   time.Duration
	}{
		"Every × Fall + Timeout":           {Target{Every: ms(1000), Timeout: ms(500), Fall: 3}, ms(3500)},
		"Fall 1":                           {Target{Every: ms(1000), Timeout: ms(500), Fall: 1}, ms(1500)},
		"a Timeout beyond Every, as Every": {Target{Every: ms(1000), Timeout: ms(2000), Fall: 3}, ms(8000)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.target.grace(); got != tc.want {
				t.Errorf("want %v, got %v", tc.want, got)
			}
		})
	}
}
