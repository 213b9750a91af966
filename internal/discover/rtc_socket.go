package discover

import (
	"context"
	"crypto/rand"
	endian "encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/pion/ice/v4"

	"github.com/comntr/comntr"
)

// Bounds and times of the sockets for WebRTC.
const (
	defaultRTCPort = 4083
	maxRTCAddrs    = 16 // own addresses with a socket each

	// stunPerSource bounds the STUN packets a second of one address: checks of
	// connections and plain questions. A browser sends some 20 checks a second
	// while it connects, and many may share one address.
	stunPerSource = 250

	stunEvery    = 25 * time.Second // between questions to a STUN server, and looks at the own addresses: NATs forget a UDP port after 30 s and more
	stunSoon     = 2 * time.Second  // while none was answered, doubling up to stunEvery
	stunResolved = 10 * time.Minute // a STUN server's addresses are looked up again after this
	mappedFor    = 4 * stunEvery    // a NAT's mapping is told for so long after the last answer

	maxRTCTCP     = 512             // TCP connections for ICE in all
	maxRTCTCPAddr = 16              // of one address
	firstTCPTime  = 5 * time.Second // for the first packet on one
	tcpQueue      = 16              // packets read from one and not yet looked at
)

// rtcPorts are the sockets of one port number: for UDP one on each own
// address, so that a packet is answered from where it was sent to, and for TCP
// one. It is pion's ice.UDPMux. Packets from and to addresses that the guard
// refuses do not exist.
type rtcPorts struct {
	guard    comntr.Guard
	noLimits bool
	log      *slog.Logger
	host     netip.Addr // the one address to listen on, invalid for all
	port     uint16
	tcp      *rtcListener
	tcpMux   *ice.TCPMuxDefault
	flood    flood

	mu         sync.Mutex
	interfaces func() ([]net.Addr, error) // net.InterfaceAddrs but in tests
	closed     bool
	socks      map[netip.Addr]*rtcSocket
}

var _ ice.UDPMux = (*rtcPorts)(nil)

// openRTCPorts listens on host:port, with port 0 on any that is free for both.
func openRTCPorts(addr string, guard comntr.Guard, noLimits bool, log *slog.Logger) (*rtcPorts, error) {
	if addr == "" {
		addr = ":" + strconv.Itoa(defaultRTCPort)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("WebRTC listen address: %w", err)
	}
	p := &rtcPorts{
		guard: guard, noLimits: noLimits, log: log,
		flood:      flood{seed: maphash.MakeSeed()},
		interfaces: net.InterfaceAddrs,
		socks:      map[netip.Addr]*rtcSocket{},
	}
	if host != "" {
		if host == "localhost" {
			host = "127.0.0.1"
		}
		if p.host, err = netip.ParseAddr(host); err != nil {
			return nil, fmt.Errorf("WebRTC listen address: %q is no IP address", host)
		}
		if p.host.IsUnspecified() {
			p.host, host = netip.Addr{}, ""
		}
	}
	for range samePortTries {
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil {
			return nil, fmt.Errorf("listen on TCP %s for WebRTC: %w; is another server running? --rtc-listen names another address", addr, err)
		}
		p.port = l.Addr().(*net.TCPAddr).AddrPort().Port()
		err = p.refresh()
		if err == nil && len(p.socks) > 0 {
			p.tcp = newRTCListener(l, guard, noLimits)
			p.tcpMux = ice.NewTCPMuxDefault(ice.TCPMuxParams{
				Listener: p.tcp, Logger: noPionLog{}, ReadBufferSize: tcpQueue,
				FirstStunBindTimeout: firstTCPTime, AliveDurationForConnFromStun: firstTCPTime,
			})
			return p, nil
		}
		l.Close()
		p.closeSockets()
		if err == nil {
			return nil, fmt.Errorf("listen on UDP %s for WebRTC: this machine has no address to listen on", addr)
		}
		if !errors.Is(err, syscall.EADDRINUSE) || port != "0" {
			return nil, fmt.Errorf("listen on UDP %s for WebRTC: %w; is another server running? --rtc-listen names another address", addr, err)
		}
	}
	return nil, fmt.Errorf("listen on %s for WebRTC: %w", addr, syscall.EADDRINUSE)
}

// own are the addresses to have a socket on.
func (p *rtcPorts) own() ([]netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ownNow()
}

// ownNow is own while mu is held.
func (p *rtcPorts) ownNow() ([]netip.Addr, error) {
	if p.host.IsValid() {
		return []netip.Addr{p.host}, nil
	}
	list, err := p.interfaces()
	if err != nil {
		return nil, fmt.Errorf("this machine's addresses: %w", err)
	}
	var out []netip.Addr
	for _, l := range list {
		n, ok := l.(*net.IPNet)
		if !ok {
			continue
		}
		a, ok := netip.AddrFromSlice(n.IP)
		a = a.Unmap()
		if !ok || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsLoopback() && !p.guard.AllowPrivate || len(out) >= maxRTCAddrs {
			continue
		}
		out = append(out, a)
	}
	return out, nil
}

// refresh opens sockets on new own addresses and closes those whose address
// went away. The error is one of a port in use. It looks and acts in one, so
// that of two at a time the older look does not have the last word.
func (p *rtcPorts) refresh() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	own, err := p.ownNow()
	if err != nil {
		return err
	}
	keep := map[netip.Addr]bool{}
	for _, a := range own {
		keep[a] = true
		if p.socks[a] != nil {
			continue
		}
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, p.port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			return err
		} else if err != nil {
			p.log.Debug("no WebRTC on an own address", "address", a, "err", err)
			continue
		}
		s := &rtcSocket{ports: p, conn: conn, addr: a, closed: make(chan struct{}), asked: map[[12]byte]netip.AddrPort{}}
		s.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{Logger: noPionLog{}, UDPConn: s})
		p.socks[a] = s
	}
	for a, s := range p.socks {
		if !keep[a] {
			delete(p.socks, a)
			s.mux.Close()
		}
	}
	return nil
}

func (p *rtcPorts) sockets() []*rtcSocket {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*rtcSocket
	for _, s := range p.socks {
		out = append(out, s)
	}
	return out
}

func (p *rtcPorts) closeSockets() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a, s := range p.socks {
		delete(p.socks, a)
		s.mux.Close()
	}
}

func (p *rtcPorts) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.tcpMux.Close()
	p.closeSockets()
}

// Close is pion's, which may not close what all connections share.
func (p *rtcPorts) Close() error { return nil }

func (p *rtcPorts) GetListenAddresses() []net.Addr {
	var out []net.Addr
	for _, s := range p.sockets() {
		out = append(out, s.LocalAddr())
	}
	return out
}

func (p *rtcPorts) GetConn(ufrag string, addr net.Addr) (net.PacketConn, error) {
	if u, ok := addr.(*net.UDPAddr); ok {
		p.mu.Lock()
		s := p.socks[u.AddrPort().Addr().Unmap()]
		p.mu.Unlock()
		if s != nil {
			return s.mux.GetConn(ufrag, s.LocalAddr())
		}
	}
	return nil, fmt.Errorf("no socket on %s", addr)
}

func (p *rtcPorts) RemoveConnByUfrag(ufrag string) {
	for _, s := range p.sockets() {
		s.mux.RemoveConnByUfrag(ufrag)
	}
}

// rtcSocket is a UDP socket as pion's mux has it. It answers plain STUN
// questions itself (RFC 8489), hears the answers to its own, and hands on the
// rest. An error of the socket is no end: a network that went away comes back.
type rtcSocket struct {
	ports     *rtcPorts
	conn      *net.UDPConn
	addr      netip.Addr
	mux       *ice.UDPMuxDefault
	closed    chan struct{}
	closeOnce sync.Once

	mu       sync.Mutex
	asked    map[[12]byte]netip.AddrPort // transactions of our own questions
	mapped   netip.AddrPort              // where a NAT lets others reach us
	mappedAt time.Time
}

var _ ice.AddrPortReaderWriter = (*rtcSocket)(nil)

func (s *rtcSocket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return 0, netip.AddrPort{}, io.EOF
			}
			select {
			case <-s.closed:
				return 0, netip.AddrPort{}, io.EOF
			case <-time.After(readPause):
			}
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if !s.ports.guard.Allow(from.Addr()) {
			continue
		}
		if isSTUN(b[:n]) {
			// pion queues without a bound what arrives for a connection; what
			// is not STUN it takes only from a connection's known addresses.
			if !s.ports.noLimits && !s.ports.flood.allowOf(from.Addr(), time.Now(), stunPerSource) {
				continue
			}
			if s.stun(b[:n], from) {
				continue
			}
		}
		return n, from, nil
	}
}

func (s *rtcSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(from), err
}

// WriteToAddrPort drops what may not be sent: pion would take an error for one
// of the socket's.
func (s *rtcSocket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if !s.ports.guard.Allow(to.Addr()) {
		return len(b), nil
	}
	return s.conn.WriteToUDPAddrPort(b, to)
}

func (s *rtcSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return s.WriteToAddrPort(b, u.AddrPort())
}

func (s *rtcSocket) Close() error {
	s.closeOnce.Do(func() { close(s.closed) })
	return s.conn.Close()
}

func (s *rtcSocket) LocalAddr() net.Addr                { return s.conn.LocalAddr() }
func (s *rtcSocket) SetDeadline(t time.Time) error      { return s.conn.SetDeadline(t) }
func (s *rtcSocket) SetReadDeadline(t time.Time) error  { return s.conn.SetReadDeadline(t) }
func (s *rtcSocket) SetWriteDeadline(t time.Time) error { return s.conn.SetWriteDeadline(t) }

// Numbers of STUN (RFC 8489).
const (
	stunHeader    = 20
	stunRequest   = 0x0001 // binding
	stunSuccess   = 0x0101
	stunCookie    = 0x2112a442
	stunUsername  = 0x0006
	stunXORMapped = 0x0020
)

func isSTUN(b []byte) bool {
	return len(b) >= stunHeader && b[0] < 4 && endian.BigEndian.Uint32(b[4:]) == stunCookie
}

// stun takes what is not a connection's: a question without a user name, and an
// answer to a question of ours.
func (s *rtcSocket) stun(b []byte, from netip.AddrPort) (taken bool) {
	switch endian.BigEndian.Uint16(b) {
	case stunRequest:
		if _, ok := stunAttribute(b, stunUsername); ok {
			return false
		}
		s.conn.WriteToUDPAddrPort(stunAnswer(b, from), from)
		return true
	case stunSuccess:
		s.mu.Lock()
		defer s.mu.Unlock()
		id := [12]byte(b[8:20])
		if to, ok := s.asked[id]; !ok || to != from {
			return false
		}
		delete(s.asked, id)
		if v, ok := stunAttribute(b, stunXORMapped); ok {
			if a, ok := unxorAddr(v, b); ok {
				s.mapped, s.mappedAt = a, time.Now()
			}
		}
		return true
	}
	return false
}

// stunAttribute returns the value of the first attribute of that type.
func stunAttribute(b []byte, typ uint16) ([]byte, bool) {
	for b = b[stunHeader:]; len(b) >= 4; {
		n := int(endian.BigEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			break
		}
		if endian.BigEndian.Uint16(b) == typ {
			return b[4 : 4+n], true
		}
		b = b[min(len(b), 4+(n+3)&^3):]
	}
	return nil, false
}

// stunAnswer says where a question came from. It has 32 bytes, or 44 for IPv6:
// hardly more than the question, so that it is of no use to who forges senders.
func stunAnswer(question []byte, from netip.AddrPort) []byte {
	addr := from.Addr().AsSlice()
	family := byte(1)
	if len(addr) == 16 {
		family = 2
	}
	b := endian.BigEndian.AppendUint16(nil, stunSuccess)
	b = endian.BigEndian.AppendUint16(b, uint16(8+len(addr)))
	b = append(b, question[4:20]...)
	b = endian.BigEndian.AppendUint16(b, stunXORMapped)
	b = endian.BigEndian.AppendUint16(b, uint16(4+len(addr)))
	b = append(b, 0, family)
	b = endian.BigEndian.AppendUint16(b, from.Port()^stunCookie>>16)
	for i, c := range addr {
		b = append(b, c^question[4+i])
	}
	return b
}

func unxorAddr(v, message []byte) (netip.AddrPort, bool) {
	if len(v) != 8 && len(v) != 20 {
		return netip.AddrPort{}, false
	}
	port := endian.BigEndian.Uint16(v[2:]) ^ stunCookie>>16
	var addr [16]byte
	for i, c := range v[4:] {
		addr[i] = c ^ message[4+i]
	}
	a, _ := netip.AddrFromSlice(addr[:len(v)-4])
	return netip.AddrPortFrom(a.Unmap(), port), port != 0
}

// ask sends a question to a STUN server. Questions that nobody answered are
// forgotten at the next one.
func (s *rtcSocket) ask(server netip.AddrPort) {
	b := endian.BigEndian.AppendUint32(nil, stunRequest<<16)
	b = endian.BigEndian.AppendUint32(b, stunCookie)
	b = append(b, make([]byte, 12)...)
	rand.Read(b[8:])
	s.mu.Lock()
	clear(s.asked)
	s.asked[[12]byte(b[8:])] = server
	s.mu.Unlock()
	s.conn.WriteToUDPAddrPort(b, server)
}

// outside is where a NAT lets others reach this socket, if one is known.
func (s *rtcSocket) outside() (netip.AddrPort, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mapped, s.mapped.IsValid() && time.Since(s.mappedAt) < mappedFor
}

// run follows the machine's addresses, and learns from the STUN servers where
// NATs let others reach us, which keeps the NATs' memory of us fresh too.
func (p *rtcPorts) run(ctx context.Context, servers []string) {
	var resolved []netip.AddrPort
	var resolvedAt time.Time
	unanswered := 0
	for turn := 0; ; turn++ {
		if err := p.refresh(); err != nil {
			p.log.Debug("no WebRTC on a new own address", "err", err)
		}
		if len(servers) > 0 && (len(resolved) == 0 || time.Since(resolvedAt) > stunResolved) {
			resolved, resolvedAt = resolveSTUN(ctx, servers), time.Now()
		}
		unanswered++
		for _, s := range p.sockets() {
			if public(s.addr) {
				continue // it is reached as it is
			}
			if _, ok := s.outside(); ok {
				unanswered = 0
			}
			var same []netip.AddrPort
			for _, r := range resolved {
				if r.Addr().Is6() == s.addr.Is6() {
					same = append(same, r)
				}
			}
			if len(same) > 0 {
				s.ask(same[turn%len(same)])
			}
		}
		wait := stunEvery
		if unanswered > 0 {
			wait = min(stunSoon<<min(unanswered-1, 10), stunEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// resolveSTUN looks the servers up. The operator named them: they may be
// private addresses.
func resolveSTUN(ctx context.Context, servers []string) (out []netip.AddrPort) {
	for _, s := range servers {
		host, port, err := splitHostPort(s)
		if err != nil {
			continue
		}
		look, cancel := context.WithTimeout(ctx, resolveTimeout)
		addrs, err := net.DefaultResolver.LookupNetIP(look, "ip", host)
		cancel()
		if err != nil {
			continue
		}
		for i, a := range addrs {
			if i < maxResolved {
				out = append(out, netip.AddrPortFrom(a.Unmap(), port))
			}
		}
	}
	return out
}

// rtcListener is the TCP listener for ICE-TCP (RFC 6544). It bounds who may
// connect, outlives errors, and closes what it gave when it is closed, or
// pion's mux would wait for connections that say nothing.
type rtcListener struct {
	net.Listener
	guard    comntr.Guard
	noLimits bool
	stop     chan struct{}

	mu     sync.Mutex
	closed bool
	conns  map[*rtcTCPConn]struct{}
	addrs  map[netip.Prefix]int
}

type rtcTCPConn struct {
	net.Conn
	l    *rtcListener
	from netip.Prefix
}

func newRTCListener(l net.Listener, guard comntr.Guard, noLimits bool) *rtcListener {
	return &rtcListener{
		Listener: l, guard: guard, noLimits: noLimits, stop: make(chan struct{}),
		conns: map[*rtcTCPConn]struct{}{}, addrs: map[netip.Prefix]int{},
	}
}

func (l *rtcListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil, err
			}
			select {
			case <-l.stop:
				return nil, net.ErrClosed
			case <-time.After(readPause):
			}
			continue
		}
		a := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
		tc := &rtcTCPConn{c, l, source(a)}
		if !l.guard.Allow(a) || !l.enter(tc) {
			c.Close()
			continue
		}
		return tc, nil
	}
}

func (l *rtcListener) enter(c *rtcTCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.conns) >= maxRTCTCP || !l.noLimits && l.addrs[c.from] >= maxRTCTCPAddr {
		return false
	}
	l.conns[c] = struct{}{}
	l.addrs[c.from]++
	return true
}

func (c *rtcTCPConn) Close() error {
	l := c.l
	l.mu.Lock()
	if _, ok := l.conns[c]; ok {
		delete(l.conns, c)
		if l.addrs[c.from]--; l.addrs[c.from] == 0 {
			delete(l.addrs, c.from)
		}
	}
	l.mu.Unlock()
	return c.Conn.Close()
}

func (l *rtcListener) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	var open []*rtcTCPConn
	for c := range l.conns {
		open = append(open, c)
	}
	l.mu.Unlock()
	if first {
		close(l.stop)
	}
	for _, c := range open {
		c.Close()
	}
	return l.Listener.Close()
}
