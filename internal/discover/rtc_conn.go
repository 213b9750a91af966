package discover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"

	"github.com/comntr/comntr"
)

// Bounds of what one connection costs.
const (
	maxChannelMessage = 20 << 10         // bytes of a data channel's message, received: senders need 16 KiB
	maxSent           = 16 << 10         // of one that is sent: every browser takes it
	maxBuffered       = 1 << 20          // bytes sent and not yet acknowledged: 10 MB/s at 100 ms
	maxBufferedAll    = 64 << 20         // of all connections, so less of each where there are many
	sendStall         = 30 * time.Second // without room for more: the asker is gone, or does not read
	maxRequests       = 16               // at once
	maxBodies         = 256 << 10        // bytes of bodies of these in all
	maxStray          = 1024             // messages that say nothing to us, between two requests
)

var (
	errWrongInfohash = errors.New("the handshake names a community that is not served here")
	errChannel       = errors.New("what was opened is not one reliable, ordered data channel")
	errProtocol      = errors.New("the protocol of SPEC.md was broken")
	errTooManyHere   = errors.New("too many connections of one address")
)

// rtcConn is one connection. It is pending until its data channel is open.
type rtcConn struct {
	r      *RTC
	pc     *webrtc.PeerConnection
	ctx    context.Context
	cancel context.CancelFunc

	// owned by RTC.mu
	closing bool
	from    netip.Prefix

	// of the open connection
	dc     *webrtc.DataChannel
	raw    datachannel.ReadWriteCloser
	remote netip.AddrPort
	asker  [32]byte // the SHA-256 of its certificate
	number byte     // the asker's for comntr's messages, 0 while unknown
	turn   chan struct{}
	low    chan struct{}

	mu       sync.Mutex
	timer    *time.Timer // ends the connection
	channel  bool        // one was opened
	idleAt   time.Time   // when the last request ended
	last     uint32      // the newest request's number
	begun    bool        // there was one
	requests map[uint32]*rtcRequest
	bodies   int // bytes of bodies of the requests
}

func newRTCConn(r *RTC, pc *webrtc.PeerConnection) *rtcConn {
	c := &rtcConn{
		r: r, pc: pc,
		turn:     make(chan struct{}, 1),
		low:      make(chan struct{}, 1),
		idleAt:   time.Now(),
		requests: map[uint32]*rtcRequest{},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.timer = time.AfterFunc(r.bounds.connect, c.close)
	return c
}

// answer has pion make the answer.
func (c *rtcConn) answer(ctx context.Context, o offer) (string, error) {
	c.pc.OnDataChannel(c.onChannel)
	c.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateFailed || s == webrtc.PeerConnectionStateClosed {
			c.close()
		}
	})
	err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: o.sdp()})
	if err != nil {
		return "", err
	}
	a, err := c.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(a); err != nil {
		return "", err
	}
	select {
	case <-gathered:
		return c.pc.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", ctx.Err()
	case <-c.ctx.Done():
		return "", ErrRTCBusy
	}
}

// close ends the connection. It may be called from anywhere, pion's callbacks
// among them, and any number of times.
func (c *rtcConn) close() {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.closeLocked()
}

// closeLocked is close for who holds RTC.mu.
func (c *rtcConn) closeLocked() {
	if c.closing {
		return
	}
	c.closing = true
	c.r.left(c)
	c.cancel()
	c.timer.Stop()
	c.r.inFlight.Go(func() {
		c.pc.GracefulClose() // what it reports is about packets that were not sent
		c.r.mu.Lock()
		delete(c.r.conns, c)
		c.r.mu.Unlock()
	})
}

// after sets when the connection ends if nothing happens.
func (c *rtcConn) after(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() == nil {
		c.timer.Reset(d)
	}
}

// idleSince tells since when no request runs.
func (c *rtcConn) idleSince() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idleAt, len(c.requests) == 0
}

func (c *rtcConn) onChannel(dc *webrtc.DataChannel) {
	c.mu.Lock()
	second := c.channel
	c.channel = true
	c.mu.Unlock()
	if second || !dc.Ordered() || dc.MaxRetransmits() != nil || dc.MaxPacketLifeTime() != nil {
		c.ended(errChannel)
		return
	}
	dc.OnOpen(func() {
		raw, err := dc.Detach()
		if err != nil {
			c.close()
			return
		}
		c.dc, c.raw = dc, raw
		dc.OnBufferedAmountLow(func() { signal(c.low) })
		c.r.mu.Lock()
		defer c.r.mu.Unlock()
		if !c.closing {
			c.r.inFlight.Go(func() { c.ended(c.serve()) })
		}
	})
}

// ended closes the connection and says why, to who debugs.
func (c *rtcConn) ended(err error) {
	if c.ctx.Err() == nil {
		c.r.log.Debug("a WebRTC connection ended", "peer", c.remote, "err", err)
	}
	c.close()
}

// serve speaks on the open data channel until it ends.
func (c *rtcConn) serve() error {
	dtls := c.pc.SCTP().Transport()
	pair, err := dtls.ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return fmt.Errorf("no address of the asker: %w", err)
	}
	a, err := netip.ParseAddr(pair.Remote.Address)
	if err != nil {
		return fmt.Errorf("the address of the asker: %w", err)
	}
	c.remote = netip.AddrPortFrom(a.Unmap().WithZone(""), pair.Remote.Port)
	c.asker = certificateHash(dtls.GetRemoteCertificate())
	if !c.r.opened(c, source(c.remote.Addr())) {
		return errTooManyHere
	}
	in := &channelReader{raw: c.raw, buf: make([]byte, maxChannelMessage)}
	c.after(c.r.bounds.hello)
	theirs, err := comntr.ReadWireHandshake(in)
	if err != nil {
		return err
	}
	if !slices.Contains(c.r.cfg.Communities, theirs.Infohash) {
		return errWrongInfohash
	}
	c.after(c.r.bounds.speak)
	ours := comntr.WireHandshake{Infohash: theirs.Infohash, PeerID: c.r.peerID, Extended: true}
	if err := c.send(ours.Append(nil), time.Time{}); err != nil {
		return err
	}
	var buf []byte
	stray, greeted := 0, false
	for {
		m, err := comntr.ReadWireMessage(in, buf, comntr.MaxWireRequest)
		if err != nil {
			return err
		}
		buf = m
		said := false
		switch {
		case len(m) < 2 || m[0] != comntr.WireExtended:
			// A keep-alive, or of BitTorrent's own: we have no piece to give.
		case m[1] == 0:
			h, err := comntr.ParseExtendedHandshake(m[2:])
			if err != nil {
				return err
			}
			if greeted { // BEP 10 allows several: there is nothing more to say
				break
			}
			greeted, said = true, true
			if err := c.greet(h); err != nil {
				return err
			}
		case m[1] == comntr.WireExtension:
			f, err := comntr.ParseFrame(m[2:])
			if err != nil || c.number == 0 {
				return errProtocol
			}
			if said, err = c.frame(f); err != nil {
				return err
			}
		}
		if stray++; said {
			stray = 0
		}
		if stray > maxStray {
			return errProtocol
		}
	}
}

// greet answers the asker's extended handshake, with the hello if it was asked
// for. Who does not speak comntr has until speakTime.
func (c *rtcConn) greet(h comntr.ExtendedHandshake) error {
	ours := comntr.ExtendedHandshake{Extension: comntr.WireExtension}
	if h.Nonce != nil {
		c.r.mu.Lock()
		sign := c.r.hello
		c.r.mu.Unlock()
		var err error
		if ours.Hello, ours.Signature, err = sign([32]byte(h.Nonce), c.r.fingerprint, c.asker); err != nil {
			return fmt.Errorf("sign the hello: %w", err)
		}
	}
	if c.number = h.Extension; c.number != 0 {
		c.after(c.r.bounds.idle)
	}
	return c.send(ours.Append(nil), time.Time{})
}

// frame takes one frame of the asker. said is whether it was of use.
func (c *rtcConn) frame(f comntr.Frame) (said bool, err error) {
	if f.Type == comntr.FrameRequest {
		return true, c.request(f)
	}
	c.mu.Lock()
	q := c.requests[f.Request]
	old := c.begun && f.Request <= c.last
	c.mu.Unlock()
	if q == nil {
		if !old {
			return false, errProtocol
		}
		return false, nil // of a request that has ended meanwhile
	}
	switch f.Type {
	case comntr.FrameData:
		return true, q.arrived(f.Payload)
	case comntr.FrameCredit:
		return true, q.credited(f.Payload)
	case comntr.FrameCancel:
		q.gaveUp()
		return true, nil
	}
	return false, errProtocol // a server's
}

// send writes whole messages of the wire, in turn with the other requests'. It
// waits while too much is on its way, until the deadline; the zero one is none.
// Where nothing moves for sendStall the connection ends.
func (c *rtcConn) send(b []byte, deadline time.Time) error {
	stall := time.Now().Add(c.r.bounds.stall)
	if deadline.IsZero() || stall.Before(deadline) {
		deadline = stall
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	late := func() error {
		if deadline.Equal(stall) {
			c.ended(fmt.Errorf("nothing was taken: %w", os.ErrDeadlineExceeded))
		}
		return os.ErrDeadlineExceeded
	}
	select {
	case c.turn <- struct{}{}:
	case <-timer.C:
		return late()
	case <-c.ctx.Done():
		return io.ErrClosedPipe
	}
	defer func() { <-c.turn }()
	for {
		room := c.r.room()
		if c.dc.BufferedAmount() <= room {
			break
		}
		c.dc.SetBufferedAmountLowThreshold(room / 2)
		if c.dc.BufferedAmount() <= room/2 { // before it could be told of
			break
		}
		select {
		case <-c.low:
		case <-timer.C:
			return late()
		case <-c.ctx.Done():
			return io.ErrClosedPipe
		}
	}
	for len(b) > 0 {
		n := min(len(b), maxSent)
		if _, err := c.raw.Write(b[:n]); err != nil {
			c.ended(err)
			return err
		}
		b = b[n:]
	}
	return nil
}

// channelReader is a data channel as a stream of bytes.
type channelReader struct {
	raw  io.Reader
	buf  []byte
	rest []byte // of buf, not yet read
}

func (r *channelReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		n, err := r.raw.Read(r.buf)
		if err != nil {
			return 0, err
		}
		r.rest = r.buf[:n]
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
