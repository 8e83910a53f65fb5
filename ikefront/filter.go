package ikefront

import (
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// A socket filter sees a datagram from its UDP header on.
const (
	udpHeaderLen = 8
	acceptAll    = 1 << 18 // octets; more than any datagram has
)

// filterPayloads is how many payloads the filter walks before it leaves the
// rest to ike.ParseRequest. strongSwan sends up to 12, libreswan 7.
const filterPayloads = 32

// Places of the filter's scratch memory.
const (
	memLength = iota // of the message
	memStart         // where its header begins
	memNext          // type of the next payload
)

// newFilter returns a program that drops before the socket's queue what would
// get no answer by its header or, unless refuse asks for those, by its lack of
// REDIRECT_SUPPORTED and REDIRECTED_FROM: everything else is for the socket's
// reader, who checks all of it again. natt is for the NAT traversal port.
func newFilter(natt, refuse bool) []bpf.Instruction {
	f := filterStart(natt)
	f = append(f,
		bpf.StoreScratch{Src: bpf.RegX, N: memStart},
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.ALUOpX{Op: bpf.ALUOpSub},
		bpf.StoreScratch{Src: bpf.RegA, N: memLength},
		bpf.LoadIndirect{Off: 24, Size: 4}, // length; too short a datagram is dropped by any load behind its end
		bpf.LoadScratch{Dst: bpf.RegX, N: memLength},
		bpf.JumpIfX{Cond: bpf.JumpEqual, SkipTrue: 1}, drop(),
		bpf.LoadScratch{Dst: bpf.RegX, N: memStart},
		bpf.LoadIndirect{Off: 19, Size: 1}, // flags: a request
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: ike.FlagResponse, SkipTrue: 1}, drop(),
		bpf.LoadIndirect{Off: 17, Size: 1}, // version
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: ike.Version, SkipTrue: 1}, drop(),
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: ike.Version + 0x10, SkipTrue: 1}, accept(), // to be told INVALID_MAJOR_VERSION
		bpf.LoadIndirect{Off: 18, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: ike.ExchangeInit, SkipTrue: 1}, drop(),
		bpf.LoadIndirect{Off: 19, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: ike.FlagInitiator, SkipTrue: 1}, drop(),
	)
	for _, off := range []uint32{8, 12, 20} { // responder's SPI, message id
		f = append(f, bpf.LoadIndirect{Off: off, Size: 4}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1}, drop())
	}
	f = append(f, // initiator's SPI
		bpf.LoadIndirect{Off: 0, Size: 4}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 3},
		bpf.LoadIndirect{Off: 4, Size: 4}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1}, drop())
	if refuse {
		return append(f, accept())
	}
	return append(f, filterSupport()...)
}

// drop ends a program: the datagram is lost.
func drop() bpf.Instruction { return bpf.RetConstant{Val: 0} }

// accept ends a program: the whole datagram goes into the queue.
func accept() bpf.Instruction { return bpf.RetConstant{Val: acceptAll} }

// filterStart leaves in X where the IKE header begins, by the rule of sort4500.
func filterStart(natt bool) []bpf.Instruction {
	if !natt {
		return []bpf.Instruction{bpf.LoadConstant{Dst: bpf.RegX, Val: udpHeaderLen}}
	}
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: udpHeaderLen, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 2}, // the non-ESP marker
		bpf.LoadConstant{Dst: bpf.RegX, Val: udpHeaderLen + ike.MarkerLen},
		bpf.Jump{Skip: 4},
		bpf.LoadAbsolute{Off: 0, Size: 2}, // source port
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 500, SkipTrue: 1}, drop(),
		bpf.LoadConstant{Dst: bpf.RegX, Val: udpHeaderLen},
	}
}

// filterSupport walks the payloads of the message that begins at X, by a loop
// unrolled as classic BPF has no jumps backward, until one says that the client
// supports redirect.
func filterSupport() []bpf.Instruction {
	f := []bpf.Instruction{
		bpf.LoadIndirect{Off: 16, Size: 1}, // type of the first payload
		bpf.StoreScratch{Src: bpf.RegA, N: memNext},
		bpf.LoadConstant{Dst: bpf.RegA, Val: ike.HeaderLen},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.TAX{},
	}
	for range filterPayloads {
		f = append(f,
			bpf.LoadScratch{Dst: bpf.RegA, N: memNext},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: ike.PayloadNone, SkipTrue: 1}, drop(),
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: ike.PayloadNotify, SkipFalse: 4},
			bpf.LoadIndirect{Off: 6, Size: 2}, // notify message type
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(ike.RedirectSupported), SkipTrue: 1},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(ike.RedirectedFrom), SkipFalse: 1}, accept(),
			bpf.LoadIndirect{Off: 0, Size: 1}, // type of the next payload
			bpf.StoreScratch{Src: bpf.RegA, N: memNext},
			bpf.LoadIndirect{Off: 2, Size: 2}, // length of this one
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: 4, SkipTrue: 1}, accept(),
			bpf.ALUOpX{Op: bpf.ALUOpAdd},
			bpf.TAX{},
		)
	}
	return append(f, accept())
}

// attach makes program the filter of the socket fd.
func attach(fd int, program []bpf.RawInstruction) error {
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: (*unix.SockFilter)(unsafe.Pointer(&program[0]))}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog)
}

// detach takes the filter off the socket fd.
func detach(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) }
