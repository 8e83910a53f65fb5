package bgp

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	"github.com/rs/zerolog"
)

// acceptFailure is what GoBGP says as it gives up its listener.
const acceptFailure = "Failed to AcceptTCP"

// logger is GoBGP's way out to our log. Nothing is read there, but for what
// GoBGP would end the process for. It is called with GoBGP's locks held and
// must never call back.
type logger struct {
	log   zerolog.Logger
	fatal chan<- error // takes the first Panic or Fatal
}

// Panic notes a bug of GoBGP's. It returns: the control loop ends us in order.
func (l logger) Panic(msg string, fields gobgplog.Fields) { l.die(msg, fields) }

// Fatal notes a bug of GoBGP's, as Panic.
func (l logger) Fatal(msg string, fields gobgplog.Fields) { l.die(msg, fields) }

// Error logs what GoBGP could not do.
func (l logger) Error(msg string, fields gobgplog.Fields) { write(l.log.Error(), msg, fields) }

// Warn logs at debug level: what GoBGP warns of is how its feeds end, and that
// is our doing. But after one failure to accept, as without file descriptors,
// GoBGP never accepts again, and no session could come up any more.
func (l logger) Warn(msg string, fields gobgplog.Fields) {
	if msg == acceptFailure {
		l.die(fmt.Sprintf("it no longer accepts connections: %v", fields["Error"]), fields)
		return
	}
	write(l.log.Debug(), msg, fields)
}

// Info logs at debug level: the Speaker says the same in its own words.
func (l logger) Info(msg string, fields gobgplog.Fields) { write(l.log.Debug(), msg, fields) }

// Debug logs at trace level: it is each message and timer.
func (l logger) Debug(msg string, fields gobgplog.Fields) { write(l.log.Trace(), msg, fields) }

// SetLevel does nothing: the level is that of our own log.
func (l logger) SetLevel(gobgplog.LogLevel) {}

// GetLevel keeps GoBGP from making texts that nobody reads.
func (l logger) GetLevel() gobgplog.LogLevel {
	if l.log.GetLevel() <= zerolog.TraceLevel {
		return gobgplog.DebugLevel
	}
	return gobgplog.InfoLevel
}

// die logs a bug of GoBGP's and makes Run return.
func (l logger) die(msg string, fields gobgplog.Fields) {
	write(l.log.Error(), msg, fields)
	select {
	case l.fatal <- fmt.Errorf("gobgp: %s", msg):
	default:
	}
}

// write logs msg with its fields, if e's level is on.
func write(e *zerolog.Event, msg string, fields gobgplog.Fields) {
	if !e.Enabled() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		e.Str(strings.ToLower(name), fmt.Sprint(fields[name]))
	}
	e.Msg("gobgp: " + msg)
}
