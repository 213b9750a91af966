package comntr

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ipfs/go-cid"
)

// Bounds of the answers that a Client takes, so that a server, whatever it
// sends and however slowly, costs its client a known amount.
const (
	maxIDAnswer    = 256              // bytes of an answer that is an id
	maxProblem     = 16 << 10         // bytes of a problem document
	maxProblemText = 1 << 10          // bytes kept of each of its strings
	MaxFolderCAR   = 256 << 20        // bytes of a topic folder's CAR
	callTime       = 30 * time.Second // one small answer in all
	blocksTime     = 2 * time.Minute  // one answer of blocks in all
	folderTime     = 10 * time.Minute // a topic folder's CAR in all
	stallTime      = 20 * time.Second // within an answer without a byte
	maxRetryAfter  = 24 * 3600        // seconds
)

// Bounds of POST /blocks, the same for both sides.
const (
	MaxBlockCIDs    = 512     // CIDs in a request
	MaxBlocksAnswer = 4 << 20 // bytes of blocks in an answer
	// Besides its blocks an answer has a header, and a length and a CID for
	// each block.
	maxBlocksCAR = MaxBlocksAnswer + maxCARHeader + maxVarint + MaxBlockCIDs*(maxCID+maxVarint)
)

var (
	// ErrBadAnswer: the server answered, but not what it was asked for: bytes
	// that do not hash to their name, a redirect, too much, or nonsense. An
	// honest server never does.
	ErrBadAnswer = errors.New("the server's answer is not what was asked for")
	// ErrStalled: the server stopped in the middle of an answer.
	ErrStalled = errors.New("the server stalled")
)

// Client asks one server. Nothing that a server answers is believed: what has
// a hash is checked against it, all is bounded. What cannot be checked is
// whether the server left something out. Safe for concurrent use.
//
// A refusal by the server is a *Problem in the error's chain.
type Client struct {
	origin string
	http   *http.Client
}

// NewClient returns a client for the server at origin, http://HOST:PORT, which
// it writes as CanonicalOrigin does. hc makes the connections; no redirect is
// followed and no cookie kept, whatever it says. Servers that a stranger named
// want a Guard's HTTPClient, and that of the zero Guard is what nil stands
// for. The error is ErrBadOrigin.
func NewClient(origin string, hc *http.Client) (*Client, error) {
	origin, err := CanonicalOrigin(origin)
	if err != nil {
		return nil, err
	}
	if hc == nil {
		hc = Guard{}.HTTPClient()
	}
	own := *hc
	own.CheckRedirect = noRedirect
	own.Jar = nil
	return &Client{origin: origin, http: &own}, nil
}

// Origin returns the server's origin, as CanonicalOrigin writes it.
func (c *Client) Origin() string { return c.origin }

// Hello asks the server for its hello with a fresh nonce. The error is
// ErrOrigin where the server is not the one that lives at this origin.
func (c *Client) Hello(ctx context.Context) (*Hello, error) {
	h, signedFor, err := c.hello(ctx)
	if err != nil {
		return nil, err
	}
	if signedFor != c.origin {
		return nil, fmt.Errorf("%w: %s, not %s", ErrOrigin, printable(signedFor), c.origin)
	}
	return h, nil
}

// HelloAny is Hello for an address that a person named: it may be another one
// than the server knows itself by, as behind a proxy.
func (c *Client) HelloAny(ctx context.Context) (*Hello, error) {
	h, _, err := c.hello(ctx)
	return h, err
}

func (c *Client) hello(ctx context.Context) (h *Hello, signedFor string, err error) {
	var nonce [32]byte
	rand.Read(nonce[:]) // never fails
	b, err := c.get(ctx, HelloPath+"?nonce="+hex.EncodeToString(nonce[:]), "application/json", MaxHello)
	if err != nil {
		return nil, "", err
	}
	if h, signedFor, err = openHello(b, nonce, time.Now()); err != nil {
		return nil, "", fmt.Errorf("hello of %s: %w: %w", c.origin, ErrBadAnswer, err)
	}
	return h, signedFor, nil
}

// Root asks for the id of the community's folder of topics.
func (c *Client) Root(ctx context.Context, community Hash) (cid.Cid, error) {
	return c.folderID(ctx, "/"+community.String())
}

// Topic asks for the id of the topic's folder.
func (c *Client) Topic(ctx context.Context, p Place) (cid.Cid, error) {
	return c.folderID(ctx, "/"+p.String())
}

func (c *Client) folderID(ctx context.Context, path string) (cid.Cid, error) {
	b, err := c.get(ctx, path, "text/plain", maxIDAnswer)
	if err != nil {
		return cid.Undef, err
	}
	s := strings.TrimSuffix(string(b), "\n")
	id, err := cid.Decode(s)
	if err != nil || CheckCID(id) != nil || id.Prefix().Codec != cid.DagProtobuf || id.String() != s {
		return cid.Undef, c.bad(path, fmt.Errorf("%q is no folder's id", printable(s)))
	}
	return id, nil
}

// Post adds a comment to a topic. When it returns, the server holds the
// comment; created is false if it did before.
func (c *Client) Post(ctx context.Context, p Place, doc []byte) (id Hash, created bool, err error) {
	path := "/" + p.String()
	err = c.do(ctx, callTime, "POST", path, "text/plain", doc, func(r *http.Response) error {
		created = r.StatusCode == http.StatusCreated
		b, err := readAtMost(r.Body, maxIDAnswer)
		if err != nil {
			return err
		}
		if id, err = ParseHash(strings.TrimSuffix(string(b), "\n")); err != nil {
			return fmt.Errorf("%w: %w", ErrBadAnswer, err)
		}
		if id != SumHash(doc) {
			return fmt.Errorf("%w: %s is not the SHA-1 of what was posted", ErrBadAnswer, id)
		}
		return nil
	})
	if err != nil {
		return Hash{}, false, err
	}
	return id, created, nil
}

// Comment asks for a comment's bytes, which hash to id.
func (c *Client) Comment(ctx context.Context, p Place, id Hash) ([]byte, error) {
	path := "/" + p.String() + "/" + id.String()
	b, err := c.get(ctx, path, "text/plain", MaxDocument)
	if err != nil {
		return nil, err
	}
	if SumHash(b) != id {
		return nil, c.bad(path, errors.New("the bytes do not hash to the comment's name"))
	}
	return b, nil
}

// Folder asks for a topic's whole folder in one answer and verifies it, as
// ReadFolder does.
func (c *Client) Folder(ctx context.Context, p Place) (*Folder, error) {
	path := "/" + p.String()
	blocks := make(map[cid.Cid][]byte)
	var root cid.Cid
	err := c.do(ctx, folderTime, "GET", path, CARType, nil, func(r *http.Response) (err error) {
		root, err = ReadCAR(r.Body, MaxFolderCAR, func(id cid.Cid, block []byte) error {
			blocks[id] = block
			return nil
		})
		return carError(err)
	})
	if err != nil {
		return nil, err
	}
	f, err := ReadFolder(root, func(id cid.Cid) ([]byte, bool) {
		b, ok := blocks[id]
		return b, ok
	})
	if err != nil {
		return nil, c.bad(path, err)
	}
	return f, nil
}

// Blocks asks for blocks of folders and calls fn once for each that came,
// verified, in the order they come. A block that the server lacks is just
// missing. fn's error ends it and is returned.
func (c *Client) Blocks(ctx context.Context, cids []cid.Cid, fn func(cid.Cid, []byte) error) error {
	for _, id := range cids {
		if err := CheckCID(id); err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(cids, MaxBlockCIDs) {
		want := make(map[cid.Cid]bool, len(batch))
		for _, id := range batch {
			want[id] = true
		}
		// An answer may be cut at its bound. While each brings something new,
		// the rest is worth another question.
		for before := -1; len(want) > 0 && len(want) != before; {
			before = len(want)
			if err := c.blocksOnce(ctx, batch, want, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// blocksOnce asks for those of batch that are in want, and takes what came out
// of want.
func (c *Client) blocksOnce(ctx context.Context, batch []cid.Cid, want map[cid.Cid]bool, fn func(cid.Cid, []byte) error) error {
	var body []byte
	var first cid.Cid
	asked := make(map[cid.Cid]bool, len(want))
	for _, id := range batch {
		if !want[id] || asked[id] {
			continue
		}
		if !first.Defined() {
			first = id
		}
		asked[id] = true
		body = append(append(body, id.String()...), '\n')
	}
	var fnErr error
	err := c.do(ctx, blocksTime, "POST", "/blocks", CARType, body, func(r *http.Response) error {
		root, err := ReadCAR(r.Body, maxBlocksCAR, func(id cid.Cid, block []byte) error {
			if !asked[id] {
				return fmt.Errorf("%w: the block %s was not asked for", ErrBadAnswer, id)
			}
			if !want[id] {
				return nil // a second time
			}
			delete(want, id)
			fnErr = fn(id, block)
			return fnErr
		})
		if err == nil && !root.Equals(first) {
			return fmt.Errorf("%w: the CAR's root is not the first block asked for", ErrBadAnswer)
		}
		return carError(err)
	})
	if fnErr != nil {
		return fnErr
	}
	return err
}

// carError tells a CAR that lies from a connection that broke.
func carError(err error) error {
	var transport interface{ Timeout() bool }
	switch {
	case err == nil, errors.Is(err, ErrBadAnswer), errors.Is(err, ErrTooLarge),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.Canceled), errors.As(err, &transport):
		return err
	}
	return fmt.Errorf("%w: %w", ErrBadAnswer, err)
}

// get asks for an answer of at most max bytes.
func (c *Client) get(ctx context.Context, path, accept string, max int) (b []byte, err error) {
	err = c.do(ctx, callTime, "GET", path, accept, nil, func(r *http.Response) error {
		b, err = readAtMost(r.Body, max)
		return err
	})
	return b, err
}

// do sends a request and gives an answer of 200 or 201 to fn, whose reads of
// the body fail with ErrStalled where the server stops sending. limit is for
// the whole call.
func (c *Client) do(ctx context.Context, limit time.Duration, method, path, accept string, body []byte, fn func(*http.Response) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: no end after %v", ErrStalled, limit))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	req, err := http.NewRequestWithContext(ctx, method, c.origin+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	return c.send(req, stop, accept, fn)
}

// send is do without a limit of time; stop ends req's context.
func (c *Client) send(req *http.Request, stop context.CancelCauseFunc, accept string, fn func(*http.Response) error) error {
	act := func(err error) error {
		if cause := context.Cause(req.Context()); cause != nil && !errors.Is(err, ErrBadAnswer) {
			err = cause
		}
		return fmt.Errorf("%s %s%s: %w", req.Method, c.origin, req.URL.Path, err)
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", "comntr")
	if req.Method == "POST" {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	watch := time.AfterFunc(stallTime, func() { stop(ErrStalled) })
	defer watch.Stop()
	r, err := c.http.Do(req)
	watch.Stop()
	if err != nil {
		var repeated *url.Error // method and URL, which act adds
		if errors.As(err, &repeated) {
			err = repeated.Err
		}
		return act(err)
	}
	defer r.Body.Close()
	r.Body = &watchedBody{r.Body, watch}
	if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusCreated {
		return act(readProblem(r))
	}
	if err := fn(r); err != nil {
		return act(err)
	}
	return nil
}

// bad is an error for a GET's answer that was whole but wrong.
func (c *Client) bad(path string, err error) error {
	return fmt.Errorf("GET %s%s: %w: %w", c.origin, path, ErrBadAnswer, err)
}

// watchedBody has its request's watch run while it waits for the server, and
// only then: what the caller does between two reads may take its time.
type watchedBody struct {
	io.ReadCloser
	watch *time.Timer
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.Reset(stallTime)
	defer b.watch.Stop()
	return b.ReadCloser.Read(p)
}

func readAtMost(r io.Reader, max int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(max)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > max {
		return nil, fmt.Errorf("%w: %w: %d", ErrBadAnswer, ErrTooLarge, max)
	}
	return b, nil
}

// readProblem makes an error of an answer that is no 200 or 201: a *Problem
// for 4xx and 5xx, else ErrBadAnswer.
func readProblem(r *http.Response) error {
	if r.StatusCode < 400 || r.StatusCode > 599 {
		return fmt.Errorf("%w: status %d", ErrBadAnswer, r.StatusCode)
	}
	p := &Problem{}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && t == "application/problem+json" {
		if b, err := readAtMost(r.Body, maxProblem); err == nil && json.Unmarshal(b, p) != nil {
			p = &Problem{}
		}
	}
	p.Status = r.StatusCode
	p.Type, p.Code = printable(p.Type), printable(p.Code)
	if p.Title = printable(p.Title); p.Title == "" {
		p.Title = http.StatusText(r.StatusCode)
	}
	if p.Detail = printable(p.Detail); p.Detail == "" {
		p.Detail = strings.TrimSpace(fmt.Sprintf("status %d %s", r.StatusCode, http.StatusText(r.StatusCode)))
	}
	if s, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil {
		p.RetryAfter = s
	}
	p.RetryAfter = min(max(p.RetryAfter, 0), maxRetryAfter)
	p.Work = min(max(p.Work, 0), maxWorkBits)
	return p
}

// printable makes what a stranger sent fit for a terminal: bounded, and
// nothing in it that moves the cursor, changes the title or turns the
// direction of writing.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(clip(s, maxProblemText), ""))
}
