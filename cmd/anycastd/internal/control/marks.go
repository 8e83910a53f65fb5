package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anycastd/anycastd/policy"
)

// Marks are what operators have drained. They outlive the daemon.
type Marks struct {
	Node     *policy.Drain           `json:"node,omitempty"`
	Gateways map[string]policy.Drain `json:"gateways,omitempty"`
}

// MarkStore keeps Marks.
type MarkStore interface {
	Load() (Marks, error) // none are no error
	Save(Marks) error
}

// Drain takes a gateway out for newcomers at once, or the node if gateway is
// "". It returns when the mark is kept and the table goes by it. An error says
// that nothing has changed, or what of that is not so.
func (l *Loop) Drain(ctx context.Context, gateway, reason string, lasting time.Duration) error {
	return l.mark(ctx, gateway, func() error {
		d := policy.Drain{Reason: reason, Since: time.Now().Round(0)} // by the wall clock, as after a restart
		event := l.log.Warn().Str("gateway", gateway).Str("reason", reason)
		if lasting > 0 {
			d.Until = d.Since.Add(lasting)
			event = event.Time("until", d.Until)
		}
		event.Msg("drain")
		if gateway == "" {
			l.view.Node = &d
			return nil
		}
		l.view.Drained[gateway] = d
		return nil
	})
}

// Undrain undoes Drain. That nothing is drained by this name is an error.
func (l *Loop) Undrain(ctx context.Context, gateway string) error {
	return l.mark(ctx, gateway, func() error {
		_, drained := l.view.Drained[gateway]
		switch {
		case gateway == "" && l.view.Node == nil:
			return fmt.Errorf("this node is not drained")
		case gateway == "":
			l.view.Node = nil
		case !drained:
			return fmt.Errorf("gateway %s is not drained by an operator", gateway)
		default:
			delete(l.view.Drained, gateway)
		}
		l.log.Warn().Str("gateway", gateway).Msg("undrain")
		return nil
	})
}

// mark changes the marks by change and keeps them.
func (l *Loop) mark(ctx context.Context, gateway string, change func() error) error {
	var err error
	asked := l.ask(ctx, l.events, func() {
		if err = l.known(gateway); err == nil {
			err = change()
		}
	})
	if err = cmp.Or(asked, err); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // what is in effect is to be kept, though nobody waits for it
	decided := l.Turns(ctx)          // by then what follows from the change is done, too
	kept := l.keepMarks(ctx)
	switch {
	case kept != nil:
		return fmt.Errorf("it is in effect, but a restart will forget it: %w", kept)
	case decided != nil:
		return fmt.Errorf("it is kept, but not in effect yet: %w", decided)
	}
	return nil
}

// keepMarks keeps the marks as they are when nobody else is keeping them any more.
func (l *Loop) keepMarks(ctx context.Context) error {
	select {
	case l.marking <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.marking }()
	var marks Marks
	err := l.ask(ctx, l.questions, func() { marks = Marks{Node: l.view.Node, Gateways: maps.Clone(l.view.Drained)} })
	if err == nil {
		err = l.parts.Marks.Save(marks)
	}
	if err != nil && !errors.Is(err, errEnded) {
		l.log.Error().Err(err).Msg("drain marks can't be kept: a restart forgets the last change")
	}
	return err
}

// known says whether there is such a gateway, or a mark of one that was there.
func (l *Loop) known(gateway string) error {
	if _, marked := l.view.Drained[gateway]; gateway == "" || marked || l.Knows(gateway) {
		return nil
	}
	var names []string
	for _, g := range l.cfg.Policy.Gateways {
		names = append(names, g.Name)
	}
	const most = 10
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return fmt.Errorf("there is no gateway %q: the gateways are %s", gateway, strings.Join(names, ", "))
}

// recall takes in the marks that were kept.
func (l *Loop) recall() {
	marks, err := l.parts.Marks.Load()
	if err != nil {
		l.markTrouble = "drain marks are lost: " + err.Error()
		l.log.Error().Err(err).Msg("drain marks can't be read: nothing is drained until somebody drains it again")
	}
	l.view.Node = marks.Node
	for name, d := range marks.Gateways {
		l.view.Drained[name] = d
	}
	if n := len(l.view.Drained); n > 0 || l.view.Node != nil {
		l.log.Warn().Int("gateways", n).Bool("node", l.view.Node != nil).Msg("drained by an operator before the start")
	}
}

// expired says whether some mark's time is over.
func (l *Loop) expired(now time.Time) bool {
	if l.view.Node != nil && over(l.view.Node, now) {
		return true
	}
	for _, d := range l.view.Drained {
		if over(&d, now) {
			return true
		}
	}
	return false
}

// over says whether d's time is over.
func over(d *policy.Drain, now time.Time) bool { return !d.Until.IsZero() && !now.Before(d.Until) }

// forgetExpired drops the marks whose time is over.
func (l *Loop) forgetExpired(now time.Time) {
	if !l.expired(now) {
		return
	}
	if l.view.Node != nil && over(l.view.Node, now) {
		l.view.Node = nil
		l.log.Warn().Msg("the node's drain is over")
	}
	for name, d := range l.view.Drained {
		if over(&d, now) {
			delete(l.view.Drained, name)
			l.log.Warn().Str("gateway", name).Msg("the gateway's drain is over")
		}
	}
	l.tasks.Go(func() { _ = l.keepMarks(l.ctx) }) // has been logged; what is over does no harm
}

// markWarnings tells of marks that somebody should look after.
func (l *Loop) markWarnings() (out []string) {
	if l.markTrouble != "" {
		out = append(out, l.markTrouble)
	}
	for _, name := range slices.Sorted(maps.Keys(l.view.Drained)) {
		if !l.Knows(name) {
			out = append(out, "gateway "+name+" is drained, and not in the configuration: should it come back, it gets nobody until undrain")
		}
	}
	return out
}
