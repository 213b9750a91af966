package discover

import (
	"net"
	"net/netip"
	"time"

	"github.com/comntr/comntr"
)

// RTCTimes replaces how long r waits for an open channel, the wire's
// handshake, a word of comntr, a request, room to send; 0 leaves one as it is.
func (r *RTC) RTCTimes(connect, hello, speak, idle, stall time.Duration) {
	t := &r.times
	for _, s := range []struct {
		to *time.Duration
		d  time.Duration
	}{{&t.connect, connect}, {&t.hello, hello}, {&t.speak, speak}, {&t.idle, idle}, {&t.stall, stall}} {
		if s.d > 0 {
			*s.to = s.d
		}
	}
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
	r.ports.interfaces = f
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
)
