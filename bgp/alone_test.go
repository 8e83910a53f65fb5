package bgp

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// These tests need no neighbor, and so no root.

func TestSetTwiceDoesNothingMore(t *testing.T) {
	s := startSpeaker(t, Config{})
	for _, step := range []struct {
		routes []Route
		want   []string // what is logged for it
	}{
		{[]Route{route(prefix4, 7, GracefulShutdown)}, []string{"announced"}},
		{[]Route{route(prefix4, GracefulShutdown, 7, 7)}, nil},
		{[]Route{route(prefix4)}, []string{"announced"}},
		{[]Route{route(prefix4), route(prefix6, 1)}, []string{"announced"}},
		{[]Route{route(prefix6, 1)}, []string{"withdrawn"}},
		{[]Route{route("2001:db8:a:ffff::/48", 1)}, nil}, // the same prefix, not masked
		{nil, []string{"withdrawn"}},
		{nil, nil},
	} {
		before := len(s.log.String())
		s.set(step.routes...)
		var got []string
		for line := range strings.Lines(s.log.String()[before:]) {
			_, rest, _ := strings.Cut(line, `"message":"`)
			msg, _, _ := strings.Cut(rest, `"`)
			got = append(got, msg)
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("%v: want %v, got %v", step.routes, step.want, got)
		}
	}
}

func TestSetRepairsWhatIsNotAsItShouldBe(t *testing.T) {
	s := startSpeaker(t, Config{})
	s.set(route(prefix4))
	if err := s.withdraw(t.Context(), route(prefix4).Prefix); err != nil {
		t.Fatal(err)
	}
	if err := s.add(t.Context(), route(prefix6).Prefix, Attributes{}); err != nil {
		t.Fatal(err)
	}
	s.set(route(prefix4))
	got, err := s.announced(t.Context())
	if _, ok := got[route(prefix4).Prefix]; err != nil || !ok || len(got) != 1 {
		t.Errorf("want only %s, got %v, %v", prefix4, got, err)
	}
}

func TestSetRefusesAPrefixThatIsNone(t *testing.T) {
	s := startSpeaker(t, Config{})
	if err := s.Set(t.Context(), []Route{route(prefix4), {}}); err == nil {
		t.Error("want an error")
	}
	if got, err := s.announced(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("want nothing announced, got %v, %v", got, err)
	}
}

func TestSetNeighborsRefusesOneNeighborTwice(t *testing.T) {
	s := startSpeaker(t, Config{})
	n := Neighbor{Address: their4, ASN: 65002}
	if err := s.SetNeighbors(t.Context(), []Neighbor{n}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetNeighbors(t.Context(), []Neighbor{n, n}); err == nil || len(s.Peers()) != 1 {
		t.Errorf("want an error and the one neighbor kept, got %v, %v", err, s.Peers())
	}
	if err := s.SetNeighbors(t.Context(), nil); err != nil || len(s.Peers()) != 0 {
		t.Errorf("want no peers, got %v, %v", s.Peers(), err)
	}
}

func TestRunReturnsAnErrorWhenGoBGPMeetsABug(t *testing.T) {
	s := startSpeaker(t, Config{})
	s.engine.server.Log().Fatal("unknown msg type", nil)
	err := <-s.result
	s.result <- err
	if err == nil || err.Error() != "gobgp: unknown msg type" {
		t.Errorf("want GoBGP's bug, got %v", err)
	}
	if err := s.Set(t.Context(), nil); !errors.Is(err, errEnded) {
		t.Errorf("want %v, got %v", errEnded, err)
	}
	if err := s.Run(t.Context()); !errors.Is(err, errEnded) {
		t.Errorf("want %v from a second Run, got %v", errEnded, err)
	}
}

func TestSetWaitsForRun(t *testing.T) {
	s := New(Config{ASN: 65001, RouterID: our4}, zerolog.Nop())
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Set(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("want %v, got %v", context.DeadlineExceeded, err)
	}
}

func TestRunRefusesAConfigThatIsNotValid(t *testing.T) {
	if err := New(Config{}, zerolog.Nop()).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "asn 0") {
		t.Errorf("want an error about the asn, got %v", err)
	}
}

func TestRunCancelledAtOnceReturnsNil(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(Config{ASN: 65001, RouterID: our4}, zerolog.Nop()).Run(ctx); err != nil {
		t.Errorf("want no error, got %v", err)
	}
}

func TestCallGivesUpOnGoBGP(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	block := make(chan struct{})
	defer close(block)
	cancel()
	if err := do(ctx, func() error { <-block; return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, got %v", context.Canceled, err)
	}
}
