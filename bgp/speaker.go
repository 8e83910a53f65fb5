package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// stopText is sent with the last NOTIFICATION (RFC 9003 section 2).
const stopText = "anycastd is stopping"

// errEnded is returned by a Speaker that no longer runs.
var errEnded = errors.New("bgp speaker has ended")

// Speaker is a BGP speaker of one process: GoBGP's table options are global,
// and its main loop cannot be ended.
type Speaker struct {
	cfg     Config
	log     zerolog.Logger
	book    *book
	learner *learner
	engine  *engine
	ready   chan struct{} // closed when routes can be set
	ended   chan struct{} // closed when they no longer can
	once    sync.Once     // Run has begun

	listeners []*net.TCPListener // since Run has begun

	mu       sync.Mutex // held over each change of routes or neighbors
	guardsMu sync.RWMutex
	guards   map[netip.Addr]*guard // under guardsMu; nil once s stops
}

// New returns a Speaker that Run will start. A Config that is not valid makes
// Run return an error.
func New(cfg Config, log zerolog.Logger) *Speaker {
	return &Speaker{
		cfg:     cfg,
		log:     log,
		book:    newBook(log, time.Now),
		learner: newLearner(cfg.Learned),
		engine:  newEngine(log),
		ready:   make(chan struct{}),
		ended:   make(chan struct{}),
		guards:  make(map[netip.Addr]*guard),
	}
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

// Watch makes addrs the addresses whose host routes Learned tells of. Neighbors
// are asked once more for what they know, where some are new. With none, which
// is so at first, the neighbors' routes are not even read.
func (s *Speaker) Watch(addrs []netip.Addr) {
	if !s.learner.watch(addrs) {
		return
	}
	for _, g := range s.all() {
		g.ask()
	}
}

// Learned returns what the neighbors say of each watched address, in the order
// of the addresses. A session that is lost takes its routes with it, but makes
// no address gone. A session knows all of its neighbor's routes of a family
// after the End-of-RIB (RFC 4724 section 2), or 30 s.
func (s *Speaker) Learned() []Learned { return s.learner.learned() }

// run is Run without its bookkeeping.
func (s *Speaker) run(ctx context.Context) error {
	if err := s.cfg.Validate(); err != nil {
		return err
	}
	whole := context.WithoutCancel(ctx) // what is begun is finished, then stopped in order
	if err := s.start(whole); err != nil {
		return fmt.Errorf("start bgp: %w", err)
	}
	defer s.stop()
	s.configure()
	close(s.ready)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.engine.fatal:
			return err
		case <-s.book.changed:
			s.book.deliver(s.cfg.Notify)
		}
	}
}

// start opens the listeners and starts GoBGP.
func (s *Speaker) start(ctx context.Context) (err error) {
	if s.listeners, err = s.cfg.listen(); err != nil {
		return err
	}
	if err := s.engine.start(ctx, s.cfg.ASN, s.cfg.RouterID); err != nil {
		closeAll(s.listeners)
		return fmt.Errorf("gobgp: %w", err)
	}
	return nil
}

// configure begins the sessions. Some neighbor that cannot be added does not
// keep the others from their routes.
func (s *Speaker) configure() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.setGuards(s.cfg.sessions(s.cfg.Neighbors)); err != nil {
		s.log.Error().Err(err).Msg("not all neighbors could be added")
	}
	for _, l := range s.listeners {
		go s.accept(l)
	}
}

// stop ends all sessions with a text that the neighbors' operators can read
// (RFC 9003).
func (s *Speaker) stop() {
	closeAll(s.listeners)
	s.book.leave()
	s.guardsMu.Lock()
	gone := make(map[*guard]*refusal, len(s.guards))
	for _, g := range s.guards {
		gone[g] = errStopped
	}
	s.guards = nil
	s.guardsMu.Unlock()
	s.endGuards(gone)
	s.engine.stop()
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
