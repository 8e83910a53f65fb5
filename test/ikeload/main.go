// Ikeload asks a redirecting IKE responder as its clients do, and as its
// attackers do, as fast as wanted, and checks every answer that it gets. It
// keeps no IKE SA and never goes where it is redirected to.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sys/unix"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// Exit codes: as those of anycastd.
const (
	exitDone    = 0
	exitProblem = 1 // an answer was at fault, or something did not work
	exitUsage   = 2
)

// run is the program.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err != nil {
		fmt.Fprintln(stderr, "ikeload:", err)
		return exitUsage
	}
	r, err := o.execute()
	if err == nil && r != nil {
		err = r.write(stdout, o.form)
	}
	if err != nil {
		fmt.Fprintln(stderr, "ikeload:", err)
		return exitProblem
	}
	if r != nil && len(r.Faults) > 0 {
		return exitProblem
	}
	return exitDone
}

// execute does what the options say.
func (o *options) execute() (*report, error) {
	if err := pin(o.cpu, o.verb == "client"); err != nil {
		return nil, err
	}
	// One thread does all the work; a shared one would be taken away from it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The kernel may not wake us 50 µs later than asked, as it does by default.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	if o.verb == "echo" {
		return nil, serveEcho(o.targets[0], o.octets)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer cancel()
	if o.verb == "flood" {
		return o.flood(ctx.Done())
	}
	return o.load(ctx.Done())
}

// pin makes the whole program run on one CPU; negative: on any. Go's runtime
// has started threads by now, so the program starts again, on that CPU, and if
// first, ahead of all others there: a flood from the same CPU must not delay an
// honest client. Each of its threads must be ahead, or one would wait for ever
// for another that the flood does not let run. It may not be permitted.
func pin(cpu int, first bool) error {
	if cpu < 0 {
		return nil
	}
	var want, have unix.CPUSet
	want.Set(cpu)
	if err := unix.SchedGetaffinity(0, &have); err != nil || have == want {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedSetaffinity(0, &want); err != nil {
		return fmt.Errorf("CPU %d: %w", cpu, err)
	}
	if first {
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	}
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}
