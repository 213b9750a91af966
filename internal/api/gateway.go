package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/klauspost/compress/gzip"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

// Bounds of CARs and blocks.
const (
	maxCARs     = 16 // CARs written at once, in all
	maxCARsAddr = 4  // of them for one address
	// A CAR's reader must take carStall's worth without a pause and minRate on
	// the whole, or its place is given to another.
	carStall = 10 * time.Second
	minRate  = 16 << 10 // bytes a second
	// carBuffer: an error within the first bytes of a CAR is still answered
	// with its problem, not by cutting the answer.
	carBuffer = 64 << 10
	// maxEntity bounds the nodes of a CAR of dag-scope=entity.
	maxEntity = 65536
	// lookupCost is what looking for a block costs of an address's bytes, found
	// or not: a thousand small or absent ones are work as well.
	lookupCost = 1 << 10
	// maxBlocksBody bounds the body of POST /blocks: 512 CIDs in any base.
	maxBlocksBody = 64 << 10
)

const (
	// A directory node's block is named by its hash and holds nobody's text.
	cacheNodes = "public, max-age=29030400, immutable"
	// probeCID is the empty identity CID by which clients see that this is a
	// trustless gateway; probeCAR is a CAR with that root and no blocks.
	probeCID = "bafkqaaa"
	probeCAR = "\x19\xa2\x65roots\x81\xd8\x2a\x45\x00\x01\x55\x00\x00\x67version\x01"
)

// carTag is the entity tag of the CAR of a CID and scope. It is weak because
// one tag stands for the CAR with and without compression.
func carTag(c cid.Cid, scope string) string {
	return `W/"` + c.String() + ".car" + scope + `"`
}

// carDups is the value of dups that the client asked for: no block stands twice
// in any CAR from here, which meets both.
func carDups(m *mediaRange) string {
	if m != nil {
		if v, ok := m.get("dups"); ok && m.sub != "*" {
			return v
		}
	}
	return "n"
}

// ipfs is a trustless gateway (specs.ipfs.tech/http-gateways/trustless-gateway)
// over what this server holds. It never fetches. What it sends are raw blocks
// and CARs, which the asker must and can verify.
func (a *API) ipfs(w *answer, r *http.Request, rt route) error {
	h := w.Header()
	h.Set("Vary", varyAccept)
	c, err := cid.Decode(rt.cid)
	if err != nil {
		return badPath(r.URL.EscapedPath(), "after /ipfs/ a CID is wanted")
	}
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	format, dups, err := gatewayFormat(w, r, rt, query)
	if err != nil {
		return err
	}
	if rt.cid == probeCID {
		if format == typeRaw {
			writeBody(w, r, http.StatusOK, typeRaw, nil)
		} else {
			writeBody(w, r, http.StatusOK, carType("n"), []byte(probeCAR))
		}
		return nil
	}
	addr := clientAddr(r.RemoteAddr)
	if err := a.mayMove(addr); err != nil {
		return err
	}
	a.limits.spend(addr, lookupCost)
	block, folders, err := a.block(c)
	if err != nil {
		return err
	}
	node := isNode(c, block)
	if node {
		h.Set("Cache-Control", cacheNodes)
	} else {
		h.Set("Cache-Control", cacheComments)
	}
	if format == typeRaw {
		h.Set("Content-Disposition", `attachment; filename="`+rt.cid+`.bin"`)
		if notModified(w, r, `"`+c.String()+`.raw"`) {
			return nil
		}
		a.limits.spend(addr, len(block))
		writeBody(w, r, http.StatusOK, typeRaw, block)
		return nil
	}
	scope := query.Get("dag-scope")
	if query.Has("entity-bytes") && scope == "" {
		scope = "entity" // every file is one block, and of directories the range means nothing
	}
	var write func(io.Writer) error
	switch {
	case scope == "block", scope == "entity" && !node, (scope == "all" || scope == "") && !node:
		write = func(out io.Writer) error { return writeBlock(out, c, block) }
	case scope == "entity":
		write = func(out io.Writer) error { return writeEntity(out, c, block, folders) }
	case scope != "all" && scope != "":
		return problem(http.StatusBadRequest, comntr.CodeBadRequest, "dag-scope is block, entity or all, not %q", clip(scope, 40))
	case !folders.IsTopicFolder(c):
		return problem(http.StatusBadRequest, comntr.CodeBadRequest,
			"whole CARs are made of topics' folders only, and %s is another one: ask with dag-scope=block or entity, or for many blocks at once with POST /blocks", c)
	default:
		scope = ""
		h.Set("Cache-Control", cacheComments) // it holds comments
	}
	if scope != "" {
		scope = "." + scope
	}
	h.Set("Content-Disposition", `attachment; filename="`+rt.cid+`.car"`)
	if notModified(w, r, carTag(c, scope)) {
		return nil
	}
	if write == nil {
		return a.folder(w, r, folders, c, dups)
	}
	return a.car(w, r, c, dups, false, write)
}

// folder answers with the CAR of a topic's whole folder.
func (a *API) folder(w *answer, r *http.Request, folders Folders, root cid.Cid, dups string) error {
	zip := takesGzip(r.Header["Accept-Encoding"])
	return a.car(w, r, root, dups, zip, func(out io.Writer) error {
		size, err := folders.WriteCAR(r.Context(), out, root, zip)
		if more := size - w.sent - carBuffer; more > 0 { // up to a buffer full still waits
			// Compressed, it is less than what was read for it.
			a.limits.spend(clientAddr(r.RemoteAddr), int(more))
		}
		return err
	})
}

// gatewayFormat returns the media type that the request asks for, by format or
// by Accept, and the value of dups for a CAR.
func gatewayFormat(w *answer, r *http.Request, rt route, query url.Values) (format, dups string, err error) {
	for _, q := range []struct{ name, takes string }{
		{"format", "raw car"}, {"car-version", "1"}, {"car-order", "dfs unk"}, {"car-dups", "y n"},
	} {
		if v := query.Get(q.name); query.Has(q.name) && (v == "" || !strings.Contains(" "+q.takes+" ", " "+v+" ")) {
			return "", "", problem(http.StatusBadRequest, comntr.CodeBadRequest, "%s can be %s, not %q", q.name, strings.ReplaceAll(q.takes, " ", " or "), clip(v, 40))
		}
	}
	offer, named, ok := negotiate(parseAccept(r.Header["Accept"]), typeRaw, typeCAR)
	exact := named != nil && named.sub != "*"
	dups = carDups(named)
	if v := query.Get("car-dups"); v != "" {
		dups = v
	}
	switch f := query.Get("format"); {
	case f == "raw":
		return typeRaw, dups, nil
	case f == "car":
		return typeCAR, dups, nil
	case !ok:
		return "", "", notAcceptable([]string{typeRaw, typeCAR})
	case !exact:
		return "", "", problem(http.StatusBadRequest, comntr.CodeBadRequest, "this gateway sends blocks and CARs, never files: add ?format=raw or ?format=car, or send Accept: %s or %s", typeRaw, typeCAR)
	}
	short := "raw"
	if offer == typeCAR {
		short = "car"
	}
	w.Header().Set("Content-Location", rt.path()+"?format="+short)
	return offer, dups, nil
}

// block returns a block that any community's folders hold, and which.
func (a *API) block(c cid.Cid) ([]byte, Folders, error) {
	err := fmt.Errorf("%w: %s", ipfs.ErrNotHeld, c)
	for i := range a.cfg.Communities {
		f := a.cfg.Communities[i].Folders
		b, e := f.Block(c)
		switch {
		case e == nil:
			return b, f, nil
		case !errors.Is(e, ipfs.ErrNotHeld):
			err = e
		}
	}
	return nil, nil, err
}

// isNode tells a directory node from a leaf.
func isNode(c cid.Cid, block []byte) bool {
	if c.Prefix().Codec != cid.DagProtobuf {
		return false
	}
	_, err := comntr.ParseNode(block)
	return err == nil
}

// writeBlock writes a CAR of one block.
func writeBlock(out io.Writer, c cid.Cid, block []byte) error {
	cw, err := comntr.NewCARWriter(out, c)
	if err != nil {
		return err
	}
	return cw.Block(c, block)
}

// writeEntity writes a CAR of what it takes to list a folder: the node and, of
// a HAMT, the shards below it, depth first, each once. Folders of a peer may be
// anything that a peer made up, so the number of nodes is bounded.
func writeEntity(out io.Writer, root cid.Cid, block []byte, folders Folders) error {
	cw, err := comntr.NewCARWriter(out, root)
	if err != nil {
		return err
	}
	seen := map[cid.Cid]bool{root: true}
	var walk func(c cid.Cid, block []byte, depth int) error
	walk = func(c cid.Cid, block []byte, depth int) error {
		if err := cw.Block(c, block); err != nil {
			return err
		}
		n, err := comntr.ParseNode(block)
		if err != nil {
			return err
		}
		if depth >= comntr.MaxDepth {
			return nil
		}
		for _, l := range n.Links {
			if !l.Child || seen[l.CID] {
				continue
			}
			if len(seen) >= maxEntity {
				return fmt.Errorf("the folder %s has more than %d nodes", root, maxEntity)
			}
			seen[l.CID] = true
			below, err := folders.Block(l.CID)
			if err != nil {
				return err
			}
			if err := walk(l.CID, below, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(root, block, 0)
}

// blocks answers a list of CIDs with a CAR of those that are held, in the order
// asked, as many as fit: one round trip for each level of a changed folder.
func (a *API) blocks(w *answer, r *http.Request) error {
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	body, err := a.readBody(w, r, maxBlocksBody)
	if err != nil {
		return err
	}
	cids, err := parseCIDs(string(body))
	if err != nil {
		return err
	}
	a.limits.spend(clientAddr(r.RemoteAddr), len(cids)*lookupCost)
	h.Set("Cache-Control", "no-store")
	return a.car(w, r, cids[0], "n", false, func(out io.Writer) error {
		cw, err := comntr.NewCARWriter(out, cids[0])
		if err != nil {
			return err
		}
		sent := make(map[cid.Cid]bool, len(cids))
		total := 0
		for _, c := range cids {
			if sent[c] {
				continue
			}
			b, _, err := a.block(c)
			if errors.Is(err, ipfs.ErrNotHeld) || errors.Is(err, ipfs.ErrGone) || errors.Is(err, ipfs.ErrUnreadable) || errors.Is(err, ipfs.ErrDenied) {
				continue
			}
			if err != nil {
				return err
			}
			if total += len(b); total > comntr.MaxBlocksAnswer {
				return nil
			}
			sent[c] = true
			if err := cw.Block(c, b); err != nil {
				return err
			}
		}
		return nil
	})
}

// parseCIDs reads one CID a line. The last line may lack its end.
func parseCIDs(body string) ([]cid.Cid, error) {
	var cids []cid.Cid
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if len(cids) == comntr.MaxBlockCIDs {
			return nil, problem(http.StatusBadRequest, comntr.CodeBadRequest, "the body has more than %d lines: ask in several requests", comntr.MaxBlockCIDs)
		}
		c, err := cid.Decode(line)
		if err != nil || len(line) > maxCIDText || comntr.CheckCID(c) != nil {
			return nil, problem(http.StatusBadRequest, comntr.CodeBadRequest,
				"line %d of the body, %q, is no CID of a comntr folder: send one a line, SHA-256 of dag-pb or raw, nothing else", len(cids)+1, clip(line, 80))
		}
		cids = append(cids, c)
	}
	if len(cids) == 0 {
		return nil, problem(http.StatusBadRequest, comntr.CodeBadRequest, "the body is empty: send CIDs, one a line")
	}
	return cids, nil
}

func carType(dups string) string {
	return typeCAR + "; version=1; order=dfs; dups=" + dups
}

// car answers with the CAR that write writes, within the bounds on CARs. zipped
// is whether write compresses it.
func (a *API) car(w *answer, r *http.Request, root cid.Cid, dups string, zipped bool, write func(io.Writer) error) error {
	h := w.Header()
	if r.Method == http.MethodHead {
		h.Set("Content-Type", carType(dups))
		w.WriteHeader(http.StatusOK)
		return nil
	}
	addr := clientAddr(r.RemoteAddr)
	if err := a.mayMove(addr); err != nil {
		return err
	}
	if !a.cars.enter(addr) {
		return later(time.Second, http.StatusServiceUnavailable, comntr.CodeBusy, "this server writes as many CARs as it can at once, or as many as one address may have: try again in a moment")
	}
	defer a.cars.leave(addr)
	out := &carAnswer{api: a, w: w, r: r, addr: addr, dups: dups, zipped: zipped}
	buf := bufio.NewWriterSize(out, carBuffer)
	err := write(buf)
	if err == nil {
		err = buf.Flush()
	}
	if e := out.close(err == nil); err == nil {
		err = e
	}
	if out.failed {
		return nil // the client went away or was too slow; nobody is left to tell
	}
	if err != nil {
		return fmt.Errorf("write the CAR of %s: %w", root, err)
	}
	return nil
}

// carAnswer is an answer whose header goes out with its first bytes. It meters
// what is written and keeps moving the write deadline.
type carAnswer struct {
	api     *API
	w       *answer
	r       *http.Request
	addr    netip.Addr
	dups    string
	zipped  bool // by who writes
	start   time.Time
	written int64
	gz      *gzip.Writer
	failed  bool // the client no longer takes anything
}

func (c *carAnswer) Write(b []byte) (int, error) {
	if !c.w.begun {
		c.start = time.Now() // not before: to find all blocks may have taken long
		h := c.w.Header()
		h.Set("Content-Type", carType(c.dups))
		zip := c.zipped || takesGzip(c.r.Header["Accept-Encoding"])
		if zip {
			h.Set("Content-Encoding", "gzip")
		}
		if zip && !c.zipped {
			c.gz, _ = c.api.gzips.Get().(*gzip.Writer)
			if c.gz == nil {
				c.gz, _ = gzip.NewWriterLevel(c.w, gzip.BestSpeed) // a level that exists
			} else {
				c.gz.Reset(c.w)
			}
		}
	}
	var out io.Writer = c.w
	if c.gz != nil {
		out = c.gz
	}
	total := 0
	for chunk := range slices.Chunk(b, carBuffer) { // each has its deadline
		c.deadline()
		c.api.limits.spend(c.addr, len(chunk))
		c.written += int64(len(chunk))
		n, err := out.Write(chunk)
		total += n
		if err != nil {
			c.failed = true
			return total, err
		}
	}
	return total, nil
}

// deadline gives the client until it would fall below minRate, and never more
// than carStall at once.
func (c *carAnswer) deadline() {
	now := time.Now()
	d := c.start.Add(answerTime + time.Duration(float64(c.written)/minRate*float64(time.Second)))
	if stall := now.Add(carStall); d.After(stall) {
		d = stall
	}
	c.w.writeBy(d)
}

// close ends the compressed stream, if the CAR is whole.
func (c *carAnswer) close(whole bool) error {
	if c.gz == nil {
		return nil
	}
	var err error
	if whole {
		c.deadline()
		if err = c.gz.Close(); err != nil {
			c.failed = true
		}
	}
	c.gz.Reset(io.Discard)
	c.api.gzips.Put(c.gz)
	c.gz = nil
	return err
}

// parseQuery reads a request's query, which must be well-formed.
func parseQuery(r *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem(http.StatusBadRequest, comntr.CodeBadRequest, "the query %q cannot be read: write name=value&name=value with %%-escapes", clip(r.URL.RawQuery, 80))
	}
	return q, nil
}
