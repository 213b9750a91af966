package discover_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/torrent/bencode"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

// hostilePackets are messages that crash or burden a node that trusts them: an
// address of one byte or a query without arguments takes an unguarded
// dht.Server, and its process, down.
func hostilePackets() map[string]string {
	id := strings.Repeat("x", 20)
	return map[string]string{
		"an address of one byte":     "d2:ip1:x1:rd2:id20:" + id + "e1:t1:a1:y1:re",
		"announce without arguments": "d1:q13:announce_peer1:t1:a1:y1:qe",
		"put without arguments":      "d1:q3:put1:t1:a1:y1:qe",
		"values of one byte":         "d1:rd2:id20:" + id + "6:valuesl1:xee1:t1:a1:y1:re",
		"no id":                      "d1:ade1:q4:ping1:t1:a1:y1:qe",
		"a short id":                 "d1:ad2:id1:xe1:q4:ping1:t1:a1:y1:qe",
		"no type":                    "d1:t1:ae",
		"not a dictionary":           "li1ee",
		"empty":                      "",
		"one byte":                   "d",
		"not bencode":                "dddddddd",
		"deep":                       "d1:a" + strings.Repeat("l", 4000),
		"a huge length":              "d1:t99999999999999999999:",
		"a long transaction":         "d1:ad2:id20:" + id + "e1:q4:ping1:t100:" + strings.Repeat("t", 100) + "1:y1:qe",
		"a negative port":            "d1:ad2:id20:" + id + "9:info_hash20:" + id + "4:porti-1e5:token1:xe1:q13:announce_peer1:t1:a1:y1:qe",
		"an error that is a number":  "d1:ei1e1:t1:a1:y1:ee",
		"an error of one":            "d1:eli201ee1:t1:a1:y1:ee",
		"a huge packet":              "d1:ad2:id20:" + id + "e1:q4:ping1:t1:a1:v5000:" + strings.Repeat("v", 5000) + "1:y1:qe",
	}
}

func TestHostilePackets(t *testing.T) {
	t.Parallel()
	a := start(t, discover.DHTConfig{})
	conn, err := net.Dial("udp4", a.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for name, p := range hostilePackets() {
		if _, err := conn.Write([]byte(p)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	// After all of that it answers.
	ping(t, conn)
	if a.Nodes() > 1 {
		t.Errorf("%d nodes in the table", a.Nodes())
	}
}

// ping asks for a pong on conn, again and again for it is UDP.
func ping(t *testing.T, conn net.Conn) {
	t.Helper()
	eventually(t, "a pong", func() bool {
		conn.Write([]byte("d1:ad2:id20:" + strings.Repeat("i", 20) + "e1:q4:ping2:roi1e1:t4:pong1:y1:qe"))
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		b := make([]byte, 2000)
		n, err := conn.Read(b)
		return err == nil && strings.Contains(string(b[:n]), "1:t4:pong1:y1:r")
	})
}

// A liar answers every get_peers with thousands of peers, and every query with
// nodes that do not exist.
type liar struct {
	conn  *net.UDPConn
	id    krpc.ID
	peers []krpc.NodeAddr
	nodes []krpc.NodeInfo
}

func newLiar(t *testing.T) *liar {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at(0)))
	if err != nil {
		t.Fatal(err)
	}
	return &liar{conn: conn, id: krpc.RandomNodeID()}
}

// serve starts to lie.
func (l *liar) serve(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 65536)
		for {
			n, from, err := l.conn.ReadFrom(b)
			if err != nil {
				return
			}
			var q krpc.Msg
			if bencode.Unmarshal(b[:n], &q) != nil || q.Y != "q" {
				continue
			}
			token := "t"
			r := krpc.Return{ID: l.id, Token: &token, Nodes: l.nodes}
			if q.Q == "get_peers" {
				r.Values = l.peers
			}
			l.conn.WriteTo(bencode.MustMarshal(krpc.Msg{T: q.T, Y: "r", R: &r}), from)
		}
	}()
	t.Cleanup(func() { l.conn.Close(); <-done })
}

func (l *liar) addr() string { return l.conn.LocalAddr().String() }

func randomPeers(n int) (list []krpc.NodeAddr) {
	for range n {
		ip := make(net.IP, 4)
		binary.BigEndian.PutUint32(ip, rand.Uint32())
		list = append(list, krpc.NodeAddr{IP: ip, Port: 1 + rand.IntN(65535)})
	}
	return list
}

func TestLookupIsBounded(t *testing.T) {
	t.Parallel()
	var liars []*liar
	var boot []string
	for range 12 {
		l := newLiar(t)
		l.peers = randomPeers(400) // 3,200 bytes: more would not be read at all
		liars = append(liars, l)
		boot = append(boot, l.addr())
	}
	honest := start(t, discover.DHTConfig{})
	honest.Announce(reddit, 5001)
	boot = append(boot, honest.Addr().String())
	for _, l := range liars {
		for range 20 { // nodes nearer than any honest one, where nobody is
			ni := krpc.NodeInfo{ID: krpc.ID(reddit), Addr: krpc.NodeAddr{IP: net.IPv4(127, 1, byte(rand.IntN(256)), byte(rand.IntN(256))).To4(), Port: 9}}
			binary.BigEndian.PutUint32(ni.ID[16:], rand.Uint32())
			l.nodes = append(l.nodes, ni)
		}
		l.serve(t)
	}
	client, err := discover.NewDHT(discover.DHTConfig{
		Listen: "127.0.0.1:0", Passive: true, Guard: comntr.Guard{AllowPrivate: true}, Bootstrap: boot,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	count := 0
	if err := client.Lookup(ctx, reddit, func(netip.AddrPort) { count++ }); err != nil {
		t.Error(err)
	}
	if count == 0 || count > 500 {
		t.Errorf("%d addresses", count)
	}
}

// Without AllowPrivate a private bootstrap that a person named is asked, but
// what it names is judged.
func TestGuardOfPeersAndNodes(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	l.peers = []krpc.NodeAddr{
		{IP: net.IPv4(127, 0, 0, 1).To4(), Port: 80}, {IP: net.IPv4(10, 0, 0, 1).To4(), Port: 80},
		{IP: net.IPv4(192, 168, 0, 1).To4(), Port: 80}, {IP: net.IPv4(100, 64, 0, 1).To4(), Port: 80},
		{IP: net.IPv4(169, 254, 169, 254).To4(), Port: 80}, {IP: net.IPv4(8, 8, 8, 8).To4(), Port: 0},
		{IP: net.ParseIP("::1"), Port: 80}, {IP: net.ParseIP("fd00::1"), Port: 80}, {IP: net.IP{1}, Port: 80},
		{IP: net.IPv4(8, 8, 8, 8).To4(), Port: 80}, {IP: net.IPv4(8, 8, 8, 8).To4(), Port: 80},
	}
	other := newLiar(t)
	other.peers = []krpc.NodeAddr{{IP: net.IPv4(9, 9, 9, 9).To4(), Port: 80}}
	u := other.conn.LocalAddr().(*net.UDPAddr)
	l.nodes = []krpc.NodeInfo{{ID: other.id, Addr: krpc.NodeAddr{IP: net.IPv4(127, 0, 0, 2).To4(), Port: u.Port}}}
	l.serve(t)
	other.serve(t)
	client, err := discover.NewDHT(discover.DHTConfig{Listen: "127.0.0.1:0", Passive: true, Bootstrap: []string{l.addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var got []string
	if err := client.Lookup(t.Context(), reddit, func(ap netip.AddrPort) { got = append(got, ap.String()) }); err != nil {
		t.Error(err)
	}
	if fmt.Sprint(got) != "[8.8.8.8:80]" {
		t.Errorf("found %v", got)
	}
}

// Whatever is looked for, a node of a small net tells all nodes it knows, to
// software that is not ours too.
func TestSmallNetTellsAllItsNodes(t *testing.T) {
	t.Parallel()
	a := start(t, discover.DHTConfig{})
	for range 4 {
		start(t, discover.DHTConfig{}, a)
	}
	eventually(t, "four nodes", func() bool { return a.Nodes() >= 4 })
	conn, err := net.Dial("udp4", a.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 10 {
		for q, arg := range map[string]string{"find_node": "6:target", "get_peers": "9:info_hash"} {
			target := krpc.RandomNodeID()
			query := "d1:ad2:id20:" + strings.Repeat("i", 20) + arg + "20:" + string(target[:]) + "e1:q9:" + q + "2:roi1e1:t1:a1:y1:qe"
			eventually(t, "all four told for "+q, func() bool {
				conn.Write([]byte(query))
				conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				b := make([]byte, 2000)
				n, err := conn.Read(b)
				var m krpc.Msg
				return err == nil && bencode.Unmarshal(b[:n], &m) == nil && m.R != nil && len(m.R.Nodes) == 4
			})
		}
	}
}

func FuzzPacket(f *testing.F) {
	for _, p := range hostilePackets() {
		f.Add([]byte(p))
	}
	d, err := discover.NewDHT(discover.DHTConfig{Listen: "127.0.0.1:0", NoBootstrap: true, Guard: comntr.Guard{AllowPrivate: true}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close() })
	f.Fuzz(func(t *testing.T, b []byte) { d.Inject(b) })
}
