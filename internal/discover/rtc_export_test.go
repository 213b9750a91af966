package discover

import (
	"net"
	"net/netip"
	"time"

	"github.com/comntr/comntr"
)

// RTCBounds are what r's constants can be changed to before it runs; 0 leaves
// one as it is.
type RTCBounds struct {
	Open                                              int
	Connect, Hello, Speak, Idle, Stall, Failed, Evict time.Duration
}

func (r *RTC) Bound(b RTCBounds) {
	set := func(to *time.Duration, d time.Duration) {
		if d > 0 {
			*to = d
		}
	}
	set(&r.bounds.connect, b.Connect)
	set(&r.bounds.hello, b.Hello)
	set(&r.bounds.speak, b.Speak)
	set(&r.bounds.idle, b.Idle)
	set(&r.bounds.stall, b.Stall)
	set(&r.bounds.failed, b.Failed)
	set(&r.bounds.evict, b.Evict)
	if b.Open > 0 {
		r.bounds.open = b.Open
	}
	r.full, r.lite = r.pion(false), r.pion(true)
}

// Lite makes r answer as one that is known to be reachable.
func (r *RTC) Lite() { r.forceLite = true }

// Connections is how many connections there are in any state, and open.
func (r *RTC) Connections() (all, open int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns), len(r.open)
}

func (r *RTC) Reachable() bool { return r.isReachable() }

// SetInterfaces replaces what r takes for the machine's addresses, and follows
// it at once.
func (r *RTC) SetInterfaces(f func() ([]net.Addr, error)) error {
	r.ports.mu.Lock()
	r.ports.interfaces = f
	r.ports.mu.Unlock()
	return r.ports.refresh()
}

// Sockets are the addresses that r has UDP sockets on.
func (r *RTC) Sockets() (out []netip.AddrPort) {
	for _, s := range r.ports.sockets() {
		out = append(out, netip.AddrPortFrom(s.addr, r.ports.port))
	}
	return out
}

// ReadOffer is what is taken of an offer, written anew.
func ReadOffer(sdp string, guard comntr.Guard) (string, error) {
	o, err := parseOffer(sdp, guard)
	if err != nil {
		return "", err
	}
	return o.sdp(), nil
}

const (
	MaxRTCAddr    = maxRTCAddr
	MaxRTCPending = maxRTCPending
	MaxRequests   = maxRequests
	MaxBodies     = maxBodies
	MaxStray      = maxStray
	MaxOffered    = maxOffered
	MaxRTCTCPAddr = maxRTCTCPAddr
	MaxBuffered   = maxBuffered
	STUNPerSource = stunPerSource
)
