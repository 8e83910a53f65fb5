package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// maxFrame is the length in octets of the longest VICI message that is read:
// charon's answer to stats, which lists its plugins, has some 2,000.
const maxFrame = 64 << 10

// frames is a connection whose reads never cross the end of a VICI message, and
// fail before the body of one that is too long: the reader behind it allocates
// whatever length it is told.
type frames struct {
	net.Conn
	head    [4]byte // length of the body, in network order
	got     int     // octets of head
	left    int     // octets of the body
	trouble atomic.Pointer[error]
}

// Read reads some of a length or some of a body.
func (f *frames) Read(b []byte) (n int, err error) {
	if f.left > 0 {
		n, err = f.Conn.Read(b[:min(len(b), f.left)])
		f.left -= n
	} else {
		n, err = f.Conn.Read(b[:min(len(b), len(f.head)-f.got)])
		f.got += copy(f.head[f.got:], b[:n])
		if length := binary.BigEndian.Uint32(f.head[:]); f.got == len(f.head) {
			if length > maxFrame {
				n, err = 0, fmt.Errorf("a message of %d octets, more than %d", length, maxFrame)
			}
			f.got, f.left = 0, int(min(length, maxFrame))
		}
	}
	if err != nil {
		err = f.explain(err)
		f.trouble.CompareAndSwap(nil, &err)
	}
	return n, err
}

// explain says where in a message the connection ended.
func (f *frames) explain(err error) error {
	switch {
	case !errors.Is(err, io.EOF):
		return err
	case f.got > 0 || f.left > 0:
		return errors.New("the connection was closed in the middle of a message")
	}
	return errors.New("the connection was closed")
}
