package main

// spis makes initiator SPIs that look random and tell, when an answer brings
// one back, which conversation it belongs to.
type spis struct {
	run uint16 // tells this run's SPIs from others'; not 0
}

// Widths in bits of what an SPI holds, beside the run.
const (
	slotBits = 20 // which conversation of those under way
	turnBits = 28 // how many there have been in this slot
)

// of returns the SPI of a slot's conversation.
func (s spis) of(slot, turn uint32) uint64 {
	return scramble(uint64(s.run)<<(slotBits+turnBits) | uint64(turn)&(1<<turnBits-1)<<slotBits | uint64(slot))
}

// slot returns the slot of an SPI; false: we have never sent it.
func (s spis) slot(spi uint64) (uint32, bool) {
	id := unscramble(spi)
	return uint32(id & (1<<slotBits - 1)), id>>(slotBits+turnBits) == uint64(s.run)
}

// Two odd numbers of random bits, and what undoes a multiplication by them.
const (
	factor1, inverse1 = 0xbf58476d1ce4e5b9, 0x96de1b173f119089
	factor2, inverse2 = 0x94d049bb133111eb, 0x319642b2d24d8ec3
)

// scramble maps numbers to numbers that look random, one to one.
func scramble(x uint64) uint64 {
	x ^= x >> 32
	x *= factor1
	x ^= x >> 32
	x *= factor2
	return x ^ x>>32
}

// unscramble undoes scramble.
func unscramble(x uint64) uint64 {
	x ^= x >> 32
	x *= inverse2
	x ^= x >> 32
	x *= inverse1
	return x ^ x>>32
}
