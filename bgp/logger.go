package bgp

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	"github.com/rs/zerolog"
)

// logger is GoBGP's way out: to our log, and to the book. GoBGP v3 tells why a
// session ended only in its log, so states and reasons are both read there, in
// one order. It is called with GoBGP's locks held and must never call back.
type logger struct {
	log   zerolog.Logger
	book  *book
	fatal chan<- error // takes the first Panic or Fatal
}

// Panic notes a bug of GoBGP's. It returns: the control loop ends us in order.
func (l logger) Panic(msg string, fields gobgplog.Fields) { l.die(msg, fields) }

// Fatal notes a bug of GoBGP's, as Panic.
func (l logger) Fatal(msg string, fields gobgplog.Fields) { l.die(msg, fields) }

// Error logs what GoBGP could not do.
func (l logger) Error(msg string, fields gobgplog.Fields) { write(l.log.Error(), msg, fields) }

// Warn logs msg, or notes it in the book, which tells it in its own words.
func (l logger) Warn(msg string, fields gobgplog.Fields) {
	key := text(fields["Key"])
	switch msg {
	case "received notification":
		l.book.problem(key, "neighbor sent "+loggedNotification(fields))
	case "sent notification":
		l.book.problem(key, "we sent "+loggedNotification(fields))
	case "failed to set md5":
		l.book.refuse(key, "no password on the listener: "+text(fields["Err"])) // the neighbor's addition then fails
	case "Closed an accepted connection", "hold timer expired", "No matching path for withdraw found, may be path was not installed into table":
		// The first is how two crossing connections become one; the second is
		// followed by a notification; the third is a neighbor's withdrawal of a
		// route that was never let in.
	default:
		write(l.log.Warn(), msg, fields)
		return
	}
	write(l.log.Debug(), msg, fields)
}

// Info logs at debug level: the Speaker says the same in its own words.
func (l logger) Info(msg string, fields gobgplog.Fields) { write(l.log.Debug(), msg, fields) }

// Debug notes state changes and failed connects in the book. The rest is too
// much even for debugging: each message and timer.
func (l logger) Debug(msg string, fields gobgplog.Fields) {
	key := text(fields["Key"])
	switch msg {
	case "state changed":
		l.book.state(key, stateName(text(fields["new"])), endReason(text(fields["reason"])))
	case "failed to connect":
		if err, ok := fields["Error"].(error); ok {
			l.book.problem(key, connectError(err, key))
		}
	}
	write(l.log.Trace(), msg, fields)
}

// SetLevel does nothing: the level is that of our own log.
func (l logger) SetLevel(gobgplog.LogLevel) {}

// GetLevel is debug, since GoBGP logs failed connects only then.
func (l logger) GetLevel() gobgplog.LogLevel { return gobgplog.DebugLevel }

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
		e.Str(strings.ToLower(name), text(fields[name]))
	}
	e.Msg("gobgp: " + msg)
}

// text is a field's value as words; "" if it is not there.
func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
