package config

import (
	"io"

	"github.com/pelletier/go-toml/v2"
)

// DefaultSocket is where the control API listens unless configured otherwise.
const DefaultSocket = "/run/anycastd/control.sock"

// Socket returns the path of the control socket that the configuration in r
// names. Whatever else is wrong with it does not matter, for the daemon that
// is to be asked runs with an earlier, sound one.
func Socket(r io.Reader) string {
	var c struct{ Control struct{ Socket string } }
	data, err := io.ReadAll(io.LimitReader(r, maxSize))
	if err != nil || toml.Unmarshal(data, &c) != nil || c.Control.Socket == "" {
		return DefaultSocket
	}
	return c.Control.Socket
}
