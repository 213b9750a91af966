package api_test

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/api"
)

// shelf keeps certificates in memory, and is the clock.
type shelf struct {
	t     testing.TB
	now   time.Time
	kept  []byte
	keeps int
	err   error
}

func newShelf(t testing.TB) *shelf {
	return &shelf{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 500, time.UTC)}
}

func (s *shelf) keep(b []byte) error {
	s.keeps++
	if s.err != nil {
		return s.err
	}
	s.kept = slices.Clone(b)
	return nil
}

// start is a start of the server.
func (s *shelf) start() *api.Certificates {
	return api.NewCertificates(s.kept, s.keep, func() time.Time { return s.now }, testLog(s.t))
}

// connects tells whether a browser that learned h, and whose clock is off by
// that much, takes what is shown now.
func (s *shelf) connects(c *api.Certificates, h *comntr.WebTransport, off time.Duration) error {
	s.t.Helper()
	cert, err := c.Present()
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := pinned(h, func() time.Time { return s.now.Add(off) })
	return cfg.VerifyPeerCertificate(cert.Certificate, nil)
}

// A page that learned a hello can come for 11 days at least, with a clock that
// is off by nearly a day; the certificates change only every 11 days, and a
// restart at any time changes nothing.
func TestCertificatesFollowOneAnother(t *testing.T) {
	const step = 5 * time.Hour
	s := newShelf(t)
	c := s.start()
	type lesson struct {
		at time.Time
		h  *comntr.WebTransport
	}
	var lessons []lesson
	seen := map[string]bool{}
	for range 60 * 24 / 5 {
		h := c.Hello(4084)
		hello := testHello()
		hello.WebTransport = h
		if _, err := comntr.SignHello(seed, hello, [32]byte{}, "http://192.0.2.1:4080"); err != nil {
			t.Fatal(err)
		}
		if len(h.Hashes) != 2 || h.Port != 4084 {
			t.Fatalf("%+v", h)
		}
		for _, x := range h.Hashes {
			seen[x.SHA256] = true
			if life := x.To.Sub(x.From); life >= comntr.MaxCertLife {
				t.Fatalf("a certificate is valid for %s", life)
			}
		}
		lessons = append(lessons, lesson{s.now, h})
		for _, l := range lessons {
			if s.now.Sub(l.at) > 11*24*time.Hour {
				continue
			}
			for _, off := range []time.Duration{-24 * time.Hour, 0, 24*time.Hour - time.Second} {
				if err := s.connects(c, l.h, off); err != nil {
					t.Fatalf("at %s, who learned at %s, clock off by %s: %v", s.now, l.at, off, err)
				}
			}
		}
		s.now = s.now.Add(step)
		if s.now.Hour()%2 == 0 {
			c = s.start()
		}
	}
	// 60 days are 5 changes; each is kept once.
	if len(seen) != 7 || s.keeps != 6 {
		t.Errorf("%d certificates, kept %d times", len(seen), s.keeps)
	}
}

func TestCertificatesAreOfTheRightKind(t *testing.T) {
	cert, err := newShelf(t).start().Present()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if leaf.Version != 3 || leaf.PublicKeyAlgorithm != x509.ECDSA || leaf.SignatureAlgorithm != x509.ECDSAWithSHA256 || leaf.SerialNumber.Sign() <= 0 {
		t.Errorf("version %d, %s, %s, serial %s", leaf.Version, leaf.PublicKeyAlgorithm, leaf.SignatureAlgorithm, leaf.SerialNumber)
	}
}

// What cannot be used is made anew, and the server goes on.
func TestCertificatesMadeAnew(t *testing.T) {
	one := newShelf(t)
	one.start().Hello(1)
	pair := func(s string) []byte { // the first key and certificate
		return []byte(s[:strings.Index(s, "-----END CERTIFICATE-----")+len("-----END CERTIFICATE-----\n")])
	}
	other := newShelf(t)
	other.start().Hello(1)
	for name, change := range map[string]func(*shelf){
		"empty":              func(s *shelf) { s.kept = nil },
		"no PEM":             func(s *shelf) { s.kept = []byte("damaged") },
		"cut":                func(s *shelf) { s.kept = s.kept[:len(s.kept)-100] },
		"another's key":      func(s *shelf) { s.kept = append(pair(string(one.kept))[:250], pair(string(other.kept))[250:]...) },
		"three":              func(s *shelf) { s.kept = append(s.kept, pair(string(other.kept))...) },
		"in the wrong order": func(s *shelf) { s.kept = append(s.kept[len(pair(string(s.kept))):], pair(string(s.kept))...) },
		"away for long":      func(s *shelf) { s.now = s.now.Add(60 * 24 * time.Hour) },
		"clock set back":     func(s *shelf) { s.now = s.now.Add(-60 * 24 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			s.kept = slices.Clone(one.kept)
			before := s.start().Hello(1)
			change(s)
			c := s.start()
			if err := s.connects(c, before, 0); err == nil {
				t.Error("it still shows what it did before")
			}
			if err := s.connects(c, c.Hello(1), 0); err != nil {
				t.Error(err)
			}
			if err := s.connects(s.start(), c.Hello(1), 0); err != nil {
				t.Errorf("after another start: %v", err)
			}
		})
	}
}

// One that is kept alone, as after a crash between versions, gets its next.
func TestCertificateAlone(t *testing.T) {
	s := newShelf(t)
	h := s.start().Hello(1)
	s.kept = s.kept[:strings.Index(string(s.kept), "-----END CERTIFICATE-----")+len("-----END CERTIFICATE-----\n")]
	after := s.start().Hello(1)
	if after.Hashes[0] != h.Hashes[0] || after.Hashes[1] == h.Hashes[1] {
		t.Errorf("%+v, then %+v", h, after)
	}
}

// A disk that does not take them does not keep pages out.
func TestCertificatesCannotBeKept(t *testing.T) {
	s := newShelf(t)
	s.err = errors.New("no space left")
	c := s.start()
	h := c.Hello(1)
	for range 100 {
		if err := s.connects(c, h, 0); err != nil {
			t.Fatal(err)
		}
	}
	if s.keeps != 1 {
		t.Errorf("%d tries at once", s.keeps)
	}
	s.now, s.err = s.now.Add(time.Minute), nil
	c.Hello(1)
	c.Hello(1)
	if s.keeps != 2 {
		t.Errorf("%d tries", s.keeps)
	}
	if err := s.connects(s.start(), h, 0); err != nil {
		t.Errorf("after a start: %v", err)
	}
}
