package main

import (
	"testing"

	"pgregory.net/rapid"
)

func TestAnSPITellsItsSlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := spis{rapid.Uint16Min(1).Draw(t, "run")}
		slot, turn := rapid.Uint32Max(1<<slotBits-1).Draw(t, "slot"), rapid.Uint32().Draw(t, "turn")
		if got, ours := s.slot(s.of(slot, turn)); got != slot || !ours {
			t.Errorf("want %d, got %d, %v", slot, got, ours)
		}
		other := spis{s.run ^ 1}
		if _, ours := other.slot(s.of(slot, turn)); ours {
			t.Error("another run takes it for its own")
		}
	})
}

func TestUnscrambleUndoesScramble(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Uint64().Draw(t, "x")
		if got := unscramble(scramble(x)); got != x {
			t.Errorf("want %#x, got %#x", x, got)
		}
	})
}
