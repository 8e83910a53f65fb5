package bgp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	gobgpapi "github.com/osrg/gobgp/v3/api"
	gobgp "github.com/osrg/gobgp/v3/pkg/server"
	"github.com/rs/zerolog"
)

const (
	callTime  = 5 * time.Second // for one answer of GoBGP; it normally takes less than a millisecond
	leaveTime = time.Second     // for all sessions to end at a clean exit

	// stopText is sent with the last NOTIFICATION; GoBGP cuts it at 128 octets
	// (RFC 9003 section 2 allows 255).
	stopText = "anycastd is stopping"
)

// errEnded is returned by a Speaker that no longer runs.
var errEnded = errors.New("bgp speaker has ended")

// Speaker is a BGP speaker of one process: GoBGP's table options are global,
// and its main loop cannot be ended.
type Speaker struct {
	cfg    Config
	log    zerolog.Logger
	book   *book
	server *gobgp.BgpServer
	fatal  chan error    // GoBGP's first Panic or Fatal
	ready  chan struct{} // closed when routes can be set
	ended  chan struct{} // closed when they no longer can
	once   sync.Once     // Run has begun

	mu       sync.Mutex         // held over each change of routes or sessions
	sessions map[string]session // by key, as last given to GoBGP
}

// New returns a Speaker that Run will start. A Config that is not valid makes
// Run return an error.
func New(cfg Config, log zerolog.Logger) *Speaker {
	s := &Speaker{
		cfg:      cfg,
		log:      log,
		book:     newBook(log, time.Now),
		fatal:    make(chan error, 1),
		ready:    make(chan struct{}),
		ended:    make(chan struct{}),
		sessions: make(map[string]session),
	}
	s.server = gobgp.NewBgpServer(gobgp.LoggerOption(logger{log: log, book: s.book, fatal: s.fatal}))
	return s
}

// Run speaks BGP until ctx ends, then tells each neighbor that it stops
// (RFC 9003), which withdraws all routes, and returns nil. It returns an error
// if the Config is not valid, the port cannot be listened on, or GoBGP meets a
// bug of its own; the sessions are ended all the same. A neighbor that cannot
// be added is logged, and SetNeighbors tries again. It can be called once.
func (s *Speaker) Run(ctx context.Context) error {
	err := errEnded
	s.once.Do(func() {
		defer close(s.ended)
		err = s.run(ctx)
	})
	return err
}

// Ready is closed when routes can be set and the sessions are configured, those
// that could be.
func (s *Speaker) Ready() <-chan struct{} { return s.ready }

// Peers returns the sessions as last seen, in the order of their addresses. It
// never waits for GoBGP.
func (s *Speaker) Peers() []Peer { return s.book.peers() }

// run is Run without its bookkeeping.
func (s *Speaker) run(ctx context.Context) error {
	if err := s.cfg.Validate(); err != nil {
		return err
	}
	go s.server.Serve() // never returns

	whole := context.WithoutCancel(ctx) // what is begun is finished, then stopped in order
	if err := s.start(whole); err != nil {
		return fmt.Errorf("start bgp: %w", err)
	}
	defer s.stop()
	if err := s.configure(whole); err != nil {
		return err
	}
	close(s.ready)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.fatal:
			return err
		case <-s.book.changed:
			s.book.deliver(s.cfg.Notify)
		}
	}
}

// start starts GoBGP, without any neighbor.
func (s *Speaker) start(ctx context.Context) error {
	port := int32(s.cfg.ListenPort)
	if port == 0 {
		port = -1 // 0 would be 179 to GoBGP
	}
	global := &gobgpapi.Global{Asn: s.cfg.ASN, RouterId: s.cfg.RouterID.String(), ListenPort: port}
	return do(ctx, func() error {
		return s.server.StartBgp(context.Background(), &gobgpapi.StartBgpRequest{Global: global})
	})
}

// configure sets the policy, then the neighbors, so that no route slips in. Some
// neighbor that cannot be added does not keep the others from their routes.
func (s *Speaker) configure(ctx context.Context) error {
	if err := s.rejectAll(ctx); err != nil {
		return fmt.Errorf("set the import policy: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.setSessions(ctx, s.cfg.Neighbors); err != nil {
		s.log.Error().Err(err).Msg("not all neighbors could be added")
	}
	return nil
}

// rejectAll keeps every route but our own out of the RIB, and so out of what
// is announced. A plain "reject" would keep our own out as well.
func (s *Speaker) rejectAll(ctx context.Context) error {
	own := &gobgpapi.Policy{Name: "own", Statements: []*gobgpapi.Statement{{
		Name:       "own",
		Conditions: &gobgpapi.Conditions{RouteType: gobgpapi.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &gobgpapi.Actions{RouteAction: gobgpapi.RouteAction_ACCEPT},
	}}}
	err := do(ctx, func() error {
		return s.server.AddPolicy(context.Background(), &gobgpapi.AddPolicyRequest{Policy: own})
	})
	if err != nil {
		return err
	}
	return do(ctx, func() error {
		return s.server.SetPolicyAssignment(context.Background(), &gobgpapi.SetPolicyAssignmentRequest{
			Assignment: &gobgpapi.PolicyAssignment{
				Name:          "global",
				Direction:     gobgpapi.PolicyDirection_IMPORT,
				Policies:      []*gobgpapi.Policy{{Name: "own"}},
				DefaultAction: gobgpapi.RouteAction_REJECT,
			},
		})
	})
}

// stop ends all sessions with a text that the neighbors' operators can read.
// Ending GoBGP at once would send none, so stop first waits for the sessions.
func (s *Speaker) stop() {
	s.book.leave()
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	err := do(ctx, func() error {
		return s.server.DisablePeer(context.Background(), &gobgpapi.DisablePeerRequest{Communication: stopText})
	})
	for err == nil && !s.book.idle() {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-s.book.changed:
			s.book.deliver(s.cfg.Notify)
		}
	}
	if err != nil {
		s.log.Warn().Err(err).Msg("sessions ended without a word to the neighbors")
	}
	err = do(context.Background(), func() error {
		return s.server.StopBgp(context.Background(), &gobgpapi.StopBgpRequest{})
	})
	if err != nil {
		s.log.Warn().Err(err).Msg("bgp did not stop")
	}
	s.book.deliver(s.cfg.Notify)
}

// lock waits until s is ready and takes s.mu.
func (s *Speaker) lock(ctx context.Context) error {
	select {
	case <-s.ready:
	case <-s.ended:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	select {
	case <-s.ended:
		s.mu.Unlock()
		return errEnded
	default:
		return nil
	}
}

// call runs f, a call of GoBGP's API, for at most callTime. GoBGP ignores the
// context of a call and may never answer; f is then left behind with what it
// returns. Calls are served in their order, so it cannot overtake a later one.
func call[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := f()
		answers <- answer{value, err}
	}()
	var none T
	timer := time.NewTimer(callTime)
	defer timer.Stop()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-timer.C:
		return none, fmt.Errorf("gobgp did not answer within %v", callTime)
	}
}

// do is call for what returns an error only.
func do(ctx context.Context, f func() error) error {
	_, err := call(ctx, func() (struct{}, error) { return struct{}{}, f() })
	return err
}
