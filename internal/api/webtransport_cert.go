package api

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/comntr/comntr"
)

// The life of a certificate. Browsers pin only those that are valid for 14 days
// or less (W3C WebTransport, "custom certificate requirements").
const (
	certLife = 13 * 24 * time.Hour
	// certSkew is how far a page's clock may differ: a certificate is used
	// neither in the first nor in the last day of its life.
	certSkew = 24 * time.Hour
	// keepRetry is how long a certificate that could not be kept waits until it
	// is tried again.
	keepRetry = time.Minute
)

// Certificates are what a server shows over WebTransport: the present one and
// the next, which follows it without a gap. Pages know both by their hashes, so
// that one who learned them at any time can come for at least the 11 days in
// which the next one will be used. It is safe for concurrent use.
type Certificates struct {
	keep func([]byte) error
	now  func() time.Time
	log  *slog.Logger

	mu      sync.Mutex
	list    []tls.Certificate // the present one, the next; Leaf is set
	unkept  bool              // the list is not what keep was last given
	retryAt time.Time
}

// NewCertificates returns the certificates that kept has, which is what keep was
// last given, or nil at the first start; keep is called with the new ones when
// they change, and what it is given is secret. What cannot be read is made anew:
// pages learn of it by their next hello. now may be nil: time.Now.
func NewCertificates(kept []byte, keep func([]byte) error, now func() time.Time, log *slog.Logger) *Certificates {
	if now == nil {
		now = time.Now
	}
	c := &Certificates{keep: keep, now: now, log: log}
	list, err := parseCertificates(kept)
	if err != nil {
		log.Warn("the certificates for WebTransport cannot be read and are made anew: pages must learn of them before they come back", "err", err)
	}
	c.list = list
	return c
}

// Hello is what a hello says of WebTransport at port.
func (c *Certificates) Hello(port uint16) *comntr.WebTransport {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.turn(); err != nil {
		c.log.Error("a certificate for WebTransport cannot be made", "err", err)
		return nil
	}
	h := &comntr.WebTransport{Port: port}
	for _, cert := range c.list {
		sum := sha256.Sum256(cert.Leaf.Raw)
		h.Hashes = append(h.Hashes, comntr.CertHash{SHA256: hex.EncodeToString(sum[:]), From: cert.Leaf.NotBefore, To: cert.Leaf.NotAfter})
	}
	return h
}

// present returns the certificate to show (tls.Config.GetCertificate).
func (c *Certificates) present(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.turn(); err != nil {
		return nil, err
	}
	cert := c.list[0]
	return &cert, nil
}

// turn makes the list what it must be now. It costs nothing while that is what
// it was.
func (c *Certificates) turn() error {
	now := c.now()
	c.list = slices.DeleteFunc(c.list, func(cert tls.Certificate) bool {
		over := !now.Before(cert.Leaf.NotAfter.Add(-certSkew))
		c.unkept = c.unkept || over
		return over
	})
	if len(c.list) > 0 && now.Before(c.list[0].Leaf.NotBefore) {
		c.list = nil // the clock was set back, or this server was away for long
	}
	for len(c.list) < 2 {
		from := now.Add(-certSkew)
		if len(c.list) == 1 {
			from = c.list[0].Leaf.NotAfter.Add(-2 * certSkew)
		}
		cert, err := newCertificate(from)
		if err != nil {
			return err
		}
		c.list = append(c.list, cert)
		c.unkept, c.retryAt = true, time.Time{}
	}
	if !c.unkept || now.Before(c.retryAt) {
		return nil
	}
	text, err := encodeCertificates(c.list)
	if err == nil {
		err = c.keep(text)
	}
	c.unkept = err != nil
	if err != nil {
		c.retryAt = now.Add(keepRetry)
		c.log.Warn("the certificates for WebTransport cannot be kept: after a restart, pages must learn of new ones", "err", err)
	}
	return nil
}

// newCertificate makes one that is valid from then on.
func newCertificate(from time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // browsers pin no other kind of key
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	from = from.UTC().Truncate(time.Second)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "comntr"},
		NotBefore:    from,
		NotAfter:     from.Add(certLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "comntr"}}, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// encodeCertificates writes key and certificate of each as PEM.
func encodeCertificates(list []tls.Certificate) ([]byte, error) {
	var b bytes.Buffer
	for _, cert := range list {
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			return nil, err
		}
		pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: key}) // a buffer takes all
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	}
	return b.Bytes(), nil
}

func parseCertificates(text []byte) ([]tls.Certificate, error) {
	var list []tls.Certificate
	for len(bytes.TrimSpace(text)) > 0 {
		key, rest := pem.Decode(text)
		cert, rest := pem.Decode(rest)
		if key == nil || cert == nil {
			return nil, errors.New("not pairs of a key and a certificate in PEM")
		}
		pair, err := tls.X509KeyPair(pem.EncodeToMemory(cert), pem.EncodeToMemory(key))
		if err != nil {
			return nil, err
		}
		public, ok := pair.Leaf.PublicKey.(*ecdsa.PublicKey)
		switch life := pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore); {
		case !ok || public.Curve != elliptic.P256():
			return nil, errors.New("a key is not of the curve P-256")
		case life <= 2*certSkew || life > comntr.MaxCertLife:
			return nil, fmt.Errorf("a certificate is valid for %s", life)
		case len(list) == 2:
			return nil, errors.New("more than two certificates")
		case len(list) == 1 && !list[0].Leaf.NotAfter.Before(pair.Leaf.NotAfter):
			return nil, errors.New("the next certificate ends before the present one")
		}
		list = append(list, pair)
		text = rest
	}
	return list, nil
}
