package discover

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/torrent/bencode"
)

// Bounds of packets.
const (
	maxPacket      = 4 << 10 // bytes; more than any honest message, which avoids fragments
	maxTransaction = 64      // bytes of t, which an answer repeats
	packetQueue    = 256     // packets read and not yet looked at; then the kernel drops
	readPause      = 100 * time.Millisecond
)

// socket is a UDP socket that outlives the dht.Servers on it. A dht.Server
// cannot change its node id, so a new public address takes a new one (BEP 42),
// but the port is known to others and must stay.
type socket struct {
	conn    *net.UDPConn
	packets chan packet
	stop    chan struct{}
	done    chan struct{}
}

type packet struct {
	b    []byte
	from netip.AddrPort
}

func newSocket(conn *net.UDPConn) *socket {
	s := &socket{conn: conn, packets: make(chan packet, packetQueue), stop: make(chan struct{}), done: make(chan struct{})}
	go s.read()
	return s
}

// read hands on the packets that are safe to. An error of the socket is no end:
// a network that went away comes back.
func (s *socket) read() {
	defer close(s.done)
	b := make([]byte, maxPacket+1)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			select {
			case <-time.After(readPause):
			case <-s.stop:
				return
			}
			continue
		case !safePacket(b[:n]):
			continue
		}
		p := packet{append([]byte(nil), b[:n]...), netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}
		select {
		case s.packets <- p:
		case <-s.stop:
			return
		}
	}
}

func (s *socket) close() {
	close(s.stop)
	s.conn.Close()
	<-s.done
}

// safePacket reports whether a dht.Server can be given b. It panics, and the
// process with it, on some that it should refuse: an address of one byte, a
// query without arguments (TestHostilePackets). So everything is parsed here
// once before, and what does not parse never gets there.
func safePacket(b []byte) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	if len(b) < 2 || len(b) > maxPacket || b[0] != 'd' {
		return false
	}
	var m krpc.Msg
	if err := bencode.Unmarshal(b, &m); err != nil {
		var trailing bencode.ErrUnusedTrailingBytes
		if !errors.As(err, &trailing) {
			return false
		}
	}
	switch m.Y {
	case krpc.YQuery:
		return m.A != nil && len(m.T) <= maxTransaction
	case krpc.YResponse, krpc.YError:
		return len(m.T) <= maxTransaction
	}
	return false
}

// view is the socket as one dht.Server has it: closing it leaves the socket.
type view struct {
	*socket
	closed    chan struct{}
	closeOnce sync.Once
}

func (s *socket) view() *view { return &view{socket: s, closed: make(chan struct{})} }

func (v *view) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case <-v.closed:
		return 0, nil, net.ErrClosed
	default:
	}
	select {
	case p := <-v.packets:
		return copy(b, p.b), net.UDPAddrFromAddrPort(p.from), nil
	case <-v.closed:
		return 0, nil, net.ErrClosed
	}
}

func (v *view) WriteTo(b []byte, to net.Addr) (int, error) { return v.conn.WriteTo(b, to) }

func (v *view) Close() error {
	v.closeOnce.Do(func() { close(v.closed) })
	return nil
}

func (v *view) LocalAddr() net.Addr                { return v.conn.LocalAddr() }
func (v *view) SetDeadline(t time.Time) error      { return v.SetReadDeadline(t) }
func (v *view) SetReadDeadline(time.Time) error    { return errors.ErrUnsupported }
func (v *view) SetWriteDeadline(t time.Time) error { return v.conn.SetWriteDeadline(t) }
