// Package admin shows the operator what his server does: /metrics for Prometheus,
// and the profiles of Go's runtime under /debug/pprof, on a listener of its own.
//
// Its invariant: it only reads, counters that other packages keep anyway, and
// what it shows names nobody: no topic, no comment, no address, no key. The one
// word in it that somebody chose is a community's name, and that is the
// operator's.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

// Bounds of the listener. It is the operator's, who may have opened it to more
// than himself.
const (
	maxConns   = 32
	maxScrapes = 4 // at once
	maxHeader  = 16 << 10
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	answerTime = 30 * time.Second
	// profileTime bounds one profile or trace. pprof itself would go on for as
	// long as it is told.
	profileTime = 5 * time.Minute
	stopTime    = time.Second
)

// Admin answers the operator.
type Admin struct {
	log      *slog.Logger
	counters *collector
	metrics  http.Handler
}

// New returns an Admin that shows the counters of cfg.
func New(cfg Config) *Admin {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &collector{cfg: cfg}
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), c)
	return &Admin{
		log:      log,
		counters: c,
		metrics: promhttp.HandlerFor(r, promhttp.HandlerOpts{
			MaxRequestsInFlight: maxScrapes,
			ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
		}),
	}
}

// Private reports whether only programs of this machine reach an address.
func Private(addr net.Addr) bool {
	a, err := netip.ParseAddrPort(addr.String())
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// Handler answers at any address. onLoopback says that only this machine is to
// be answered: see local.
func (a *Admin) Handler(onLoopback bool) http.Handler {
	m := http.NewServeMux()
	m.Handle("GET /metrics", a.metrics)
	m.HandleFunc("GET /debug/pprof/", pprof.Index)
	m.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	m.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	m.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	m.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	m.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "/metrics: figures for Prometheus\n/debug/pprof/: profiles, for go tool pprof\n")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'") // pprof's index has a style
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		if onLoopback && !local(r) {
			http.Error(w, "this address answers programs of this machine: ask for it by 127.0.0.1 or localhost", http.StatusForbidden)
			return
		}
		if s, err := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64); err == nil && !(s <= profileTime.Seconds()) {
			http.Error(w, fmt.Sprintf("seconds: at most %v", profileTime.Seconds()), http.StatusBadRequest)
			return
		}
		m.ServeHTTP(w, r)
	})
}

// local reports whether a request means this machine, and no page of another
// site sent it. A page in the operator's browser can ask loopback for anything:
// by a name of its own that leads there it could read the answer, and without
// one start profiles.
func local(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return false
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host // without a port
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// Serve answers at l until ctx ends, then closes it. What is being answered is
// broken off within stopTime; when Serve has returned no counter is read any more.
func (a *Admin) Serve(ctx context.Context, l net.Listener) error {
	asked, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &http.Server{
		Handler:           a.Handler(Private(l.Addr())),
		ReadHeaderTimeout: headerTime,
		WriteTimeout:      answerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return asked },
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		cancel() // a profile ends by this
		late, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if s.Shutdown(late) != nil {
			s.Close()
		}
	})
	err := s.Serve(netutil.LimitListener(l, maxConns))
	if !stop() {
		<-stopped
	}
	a.counters.end() // Shutdown may have given up
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the operator: %w", err)
	}
	return nil
}
