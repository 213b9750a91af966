package main

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/pjbgf/sha1cd"
	"golang.org/x/sys/unix"

	"github.com/comntr/comntr"
)

// The data folders of the comments network that the program comntr of 2019
// made, and the rules that it had for what is in them.
//
// A topic is the SHA-1 of a page's URL, and its folder's path spells that
// hash, cut at some places: aa/bb/<36 digits> at last, aaa/bbb/<34 digits>
// before, <40 digits> at first; an operator could choose other cuts. (A
// conversion that went wrong left aaa/bbb/<34 digits>/<40 digits>.) It holds
// one file for a comment, named by the SHA-1 of its bytes, and .rules where
// the topic has an owner. One folder may have topics, and one topic comments,
// in several shapes.
//
// A comment is lines of "Name: value", an empty line, and a text:
//
//	Postmark: {"pubkey":"...","time":"...","sig":"..."}
//	Signature: <128 hex digits>
//	Public-Key: <64 hex digits>
//	Date: 2019-07-28T10:00:00.123Z
//	User: alice
//	Parent: <the comment answered, else the topic>
//
//	text
//
// The signature is Ed25519, of all bytes below its line. Only a topic's owner
// had his checked when he posted, so a folder may hold forgeries.
//
// The postmark is what solving a captcha gave. It was put above the
// signature, which does not cover it; but both the server and the page took
// for signed all that is below the first line, whatever that is, so that the
// signature of a comment with a postmark never verified. That was a fault of
// theirs, and not of whoever signed: a postmark is looked through here, and
// proves nothing. (The keys to check it are gone.)

// Bounds of a folder of the 2019 network. Its one server held some thousands
// of comments, of 1 KiB at most since June 2019.
const (
	maxLevels2019 = 4             // folders above a topic's: the shapes have two at most, an operator may have chosen more
	maxTopics2019 = 1 << 20       // folders in all: some 200 MiB of paths
	maxFiles2019  = 1 << 17       // entries of one topic's folder
	maxRules2019  = 1 << 10       // bytes of .rules, as of a request then
	maxUser2019   = 1 << 8        // bytes of a name that still is one; the page showed 20 characters
	rules2019     = ".rules"      // a topic's owner, as JSON
	postmark2019  = "Postmark: "  // the one line that may stand above a signature
	sigPrefix2019 = "Signature: " // of the line that signs all below it
	keyPrefix2019 = "Public-Key: "
	hexDigits     = "0123456789abcdef"
)

// comment2019 is a comment that has passed the rules of its network.
type comment2019 struct {
	path       string // within the folder
	topic, id  comntr.Hash
	bytes      []byte
	key        ed25519.PublicKey // nil: not signed
	postmarked bool
	parent     comntr.Hash // zero: none, or none of that form
	date       time.Time   // zero: none, or none of that form
	user       string
}

// invalid2019 is why a file is no comment by the rules of its network, or no
// document by ours: it stays where it is, and nothing is wrong with the disk.
type invalid2019 string

func (e invalid2019) Error() string { return string(e) }

func invalid(format string, args ...any) error { return invalid2019(fmt.Sprintf(format, args...)) }

// parse2019 reads a comment that stands under that name. A rule that was
// tightened over the summer of 2019 (ASCII, 1 KiB) holds as it was at first:
// what was posted before stayed valid. owner is the user who alone may write
// in the topic, empty for everyone.
func parse2019(topic comntr.Hash, owner, name string, b []byte) (*comment2019, error) {
	id, err := comntr.ParseHash(name)
	if err != nil {
		return nil, invalid("no comment is called so: its name would be 40 hex digits")
	}
	h := sha1cd.New().(sha1cd.CollisionResistantHash)
	h.Write(b)
	switch sum, collision := h.CollisionResistantSum(nil); {
	case collision:
		return nil, invalid("it carries a SHA-1 collision attack: its name would not be its own")
	case comntr.Hash(sum) != id:
		return nil, invalid("its name is not the SHA-1 of its bytes, which is %x: it was changed, or damaged", sum)
	case !utf8.Valid(b):
		return nil, invalid("it is not UTF-8")
	case bytes.IndexByte(b, 0) >= 0:
		return nil, invalid("it holds a byte 0")
	}
	head, text, ok := strings.Cut(string(b), "\n\n")
	switch {
	case !ok || head == "":
		return nil, invalid("it has no headers with an empty line below them")
	case !text2019(text):
		return nil, invalid("its text is shorter than 3 characters, or begins or ends with white space")
	}
	lines := strings.Split(head, "\n")
	for i, line := range lines {
		if !header2019(line) {
			return nil, invalid("its line %d is not of the form \"Name: value\", without white space in the value", i+1)
		}
	}
	c := &comment2019{topic: topic, id: id, bytes: b}
	if c.postmarked = strings.HasPrefix(lines[0], postmark2019); c.postmarked {
		lines = lines[1:]
	}
	if lines, err = c.verify(lines); err != nil {
		return nil, err
	}
	// User ids were made of the hex digits of keys.
	if user := comntr.NameHash(hex.EncodeToString(c.key)).String(); owner != "" && (c.key == nil || user != owner) {
		return nil, invalid("only the topic's owner may write there, who is %.40q", owner)
	}
	// Of a header that stands twice, the page took the first. What stands
	// above the signature was not signed, and says nothing.
	for _, line := range slices.Backward(lines) {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Date":
			c.date = date2019(value)
		case "Parent":
			c.parent, _ = comntr.ParseHash(value)
		case "User":
			c.user = value
		}
	}
	return c, nil
}

// verify checks the signature, if there is one, and returns the headers below.
//
// It is crypto/ed25519 and not the stricter verifier that documents have: the
// 2019 network had ref10, which like Go compares the bytes of R, multiplies by
// no cofactor, and takes whatever key decodes. They differ on S >= L alone:
// no signer makes that, but anyone can make it of another's signature.
func (c *comment2019) verify(lines []string) (signed []string, err error) {
	if !slices.ContainsFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, sigPrefix2019) || strings.HasPrefix(l, keyPrefix2019)
	}) {
		return lines, nil
	}
	if len(lines) < 2 || !strings.HasPrefix(lines[0], sigPrefix2019) || !strings.HasPrefix(lines[1], keyPrefix2019) {
		return nil, invalid("it names a key, but does not begin with the lines Signature and Public-Key: it proves no author")
	}
	sig, err1 := hex.DecodeString(lines[0][len(sigPrefix2019):])
	key, err2 := hex.DecodeString(lines[1][len(keyPrefix2019):])
	if err1 != nil || err2 != nil || len(sig) != ed25519.SignatureSize || len(key) != ed25519.PublicKeySize {
		return nil, invalid("its signature or its key is not of the form that Ed25519 has: 128 and 64 hex digits")
	}
	_, part, _ := bytes.Cut(c.bytes, []byte(lines[0]+"\n"))
	if !ed25519.Verify(key, part, sig) {
		return nil, invalid("its signature does not verify: somebody changed it, or gave another's key for his own")
	}
	c.key = key
	return lines[1:], nil
}

// header2019 is the rule for headers: words joined by hyphens, and a value
// without white space.
func header2019(line string) bool {
	name, value, ok := strings.Cut(line, ": ")
	for word := range strings.SplitSeq(name, "-") {
		ok = ok && word != "" && strings.Trim(word, hexDigits+"ghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
	}
	return ok && value != "" && !strings.ContainsFunc(value, space2019)
}

// text2019 is the rule for texts: no white space at the ends, and something
// in between. Lengths are in UTF-16, as JavaScript counts.
func text2019(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	return len(utf16.Encode([]rune(s))) >= 3 && !space2019(first) && !space2019(last)
}

// space2019 is white space to JavaScript's regular expressions.
func space2019(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', ' ', 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0xfeff:
		return true
	}
	return r >= 0x2000 && r <= 0x200a
}

// date2019 is the moment that a Date says, as pages wrote it and others may
// have, cut to the second; zero if it says none that ours can.
func date2019(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if t = t.UTC().Truncate(time.Second); err != nil || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// originPrefix2019 begins the header that says what an imported comment was.
const originPrefix2019 = "comntr-2019 "

// draft wraps the comment whole, to be signed by whoever imports it. It says
// nothing of its own: the same comment and the same key make the same file,
// wherever and whenever. parent is the document that the parent became, zero
// where that is not in the folder.
func (c *comment2019) draft(community, parent comntr.Hash) comntr.Draft {
	d := comntr.Draft{
		Place: comntr.Place{Community: community, Topic: c.topic},
		Date:  c.date,
		Extra: []comntr.Header{{Name: "Origin", Value: originPrefix2019 + c.id.String()}},
		Body:  c.bytes,
	}
	switch {
	case parent != (comntr.Hash{}):
		d.Parent = parent
	case c.parent != c.topic:
		d.Parent = c.parent // readers see a reply to what is missing, as it is
	}
	control := func(r rune) bool { return r < 0x20 || r == 0x7f }
	if len(c.user) <= maxUser2019 && !strings.ContainsFunc(c.user, control) {
		d.User = c.user
	}
	return d
}

// folder2019 is a data folder of the 2019 network, listed but not read.
type folder2019 struct {
	dir    string
	topics []comntr.Hash            // sorted
	paths  map[comntr.Hash][]string // of each topic's folders, within dir
	left   func(path string, err error)

	maxTopics, maxFiles int
	maxBytes            int64
}

// list2019 finds the topics. What stands in the folder and is none, then and
// when comments are read, is given to left: an invalid2019, or what is wrong
// with the disk.
func list2019(dir string, left func(path string, err error)) (*folder2019, error) {
	f := &folder2019{
		dir: dir, left: left, paths: make(map[comntr.Hash][]string),
		maxTopics: maxTopics2019, maxFiles: maxFiles2019,
		// More than that of one topic no server gives its readers.
		maxBytes: comntr.MaxFolderCAR,
	}
	return f, f.list()
}

func (f *folder2019) list() error {
	if info, err := os.Stat(f.dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is no folder", f.dir)
	}
	seen := 0
	var walk func(path, digits string, level int) error
	walk = func(path, digits string, level int) error {
		entries, err := f.entries(path, f.maxTopics)
		if err != nil && level == 0 {
			return fmt.Errorf("list %s: %w", f.dir, err)
		}
		if err != nil {
			f.left(path, err)
			return nil
		}
		if seen += len(entries); seen > f.maxTopics {
			return fmt.Errorf("%s holds more than %d folders: import its parts one by one", f.dir, f.maxTopics)
		}
		for _, e := range entries {
			sub, all := filepath.Join(path, e.Name()), digits+e.Name()
			switch {
			case !e.IsDir():
				f.left(sub, invalid("it is no folder, and stands where topics do"))
			case strings.Trim(e.Name(), hexDigits) != "" || len(all) > 40 || len(all) < 40 && level+1 > maxLevels2019:
				f.left(sub, invalid("it is no topic's folder: their paths spell 40 hex digits"))
			case len(all) < 40:
				if err := walk(sub, all, level+1); err != nil {
					return err
				}
			default:
				topic, _ := comntr.ParseHash(all)
				f.paths[topic] = append(f.paths[topic], sub)
			}
		}
		return nil
	}
	if err := walk(".", "", 0); err != nil {
		return err
	}
	for topic := range f.paths {
		f.topics = append(f.topics, topic)
	}
	slices.SortFunc(f.topics, comntr.Hash.Compare)
	return nil
}

// entries lists a folder, sorted by name.
func (f *folder2019) entries(path string, most int) ([]os.DirEntry, error) {
	d, err := f.open(path, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(most + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(entries) > most {
		return nil, fmt.Errorf("it holds more than %d entries", most)
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// open opens what path itself is: no link is followed, and no pipe waited for.
// The folder that a person named may be a link.
func (f *folder2019) open(path string, flags int) (*os.File, error) {
	if path != "." {
		flags |= unix.O_NOFOLLOW
	}
	return os.OpenFile(filepath.Join(f.dir, path), os.O_RDONLY|unix.O_NONBLOCK|flags, 0)
}

// read returns a file's bytes.
func (f *folder2019) read(path string, most int64) ([]byte, error) {
	file, err := f.open(path, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, invalid("it is a link, and those are not followed")
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, invalid("it is no file")
	case info.Size() > most:
		return nil, invalid("it has %s bytes: at most %s fit", humanize.Comma(info.Size()), humanize.Comma(most))
	}
	b, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(b)) > most {
		err = errors.New("it grows while it is read")
	}
	return b, err
}

// comments reads topic after topic, and yields parents before their replies,
// otherwise by date; those without one last. n is the topic's number, from 0.
func (f *folder2019) comments() iter.Seq2[int, *comment2019] {
	return func(yield func(int, *comment2019) bool) {
		for n, topic := range f.topics {
			for _, c := range parentsFirst(f.topic(topic)) {
				if !yield(n, c) {
					return
				}
			}
		}
	}
}

// topic reads the comments of one topic. One that stands there in several
// shapes comes several times.
func (f *folder2019) topic(topic comntr.Hash) (found []*comment2019) {
	var paths []string
	for _, path := range f.paths[topic] {
		paths = append(paths, path)
		// The conversion that went wrong.
		if sub := filepath.Join(path, topic.String()); filepath.Base(path) != topic.String() && f.isFolder(sub) {
			paths = append(paths, sub)
		}
	}
	owner := ""
	for _, path := range paths {
		o, err := f.owner(path)
		if err != nil {
			f.left(filepath.Join(path, rules2019), err)
			return nil // whom to believe there is not known
		}
		owner = cmp.Or(owner, o)
	}
	var total int64
	for _, path := range paths {
		entries, err := f.entries(path, f.maxFiles)
		if err != nil {
			f.left(path, err)
			continue
		}
		for _, e := range entries {
			sub := filepath.Join(path, e.Name())
			if e.Name() == rules2019 || slices.Contains(paths, sub) {
				continue
			}
			c, err := f.comment(topic, owner, sub)
			if err != nil {
				f.left(sub, err)
				continue
			}
			if total += int64(len(c.bytes)); total > f.maxBytes {
				f.left(path, fmt.Errorf("it holds more than %s of comments: the rest was left out", humanize.IBytes(uint64(f.maxBytes))))
				return found
			}
			found = append(found, c)
		}
	}
	return found
}

func (f *folder2019) isFolder(path string) bool {
	info, err := os.Lstat(filepath.Join(f.dir, path))
	return err == nil && info.IsDir()
}

func (f *folder2019) comment(topic comntr.Hash, owner, path string) (*comment2019, error) {
	b, err := f.read(path, comntr.MaxDocument)
	if err != nil {
		return nil, err
	}
	c, err := parse2019(topic, owner, filepath.Base(path), b)
	if err != nil {
		return nil, err
	}
	c.path = path
	return c, nil
}

// owner is the user that a topic's rules name, empty if everyone may write.
func (f *folder2019) owner(path string) (string, error) {
	b, err := f.read(filepath.Join(path, rules2019), maxRules2019)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("the topic's rules: %w", err)
	}
	var rules struct {
		Owner string `json:"owner"`
	}
	if err := json.Unmarshal(b, &rules); err != nil {
		return "", fmt.Errorf("the topic's rules cannot be read, so all of its comments were left out: mend the file, or take it away: %w", err)
	}
	return rules.Owner, nil
}

// parentsFirst sorts the comments of one topic; one that came several times
// stands there once.
func parentsFirst(cs []*comment2019) []*comment2019 {
	slices.SortFunc(cs, func(a, b *comment2019) int {
		if a.date.IsZero() != b.date.IsZero() {
			if a.date.IsZero() {
				return 1
			}
			return -1
		}
		return cmp.Or(a.date.Compare(b.date), a.id.Compare(b.id))
	})
	byID := make(map[comntr.Hash]*comment2019, len(cs))
	for _, c := range cs {
		byID[c.id] = c
	}
	out := make([]*comment2019, 0, len(cs))
	for _, c := range cs {
		from := len(out)
		for c = byID[c.id]; c != nil; c = byID[c.parent] {
			out = append(out, c)
			delete(byID, c.id)
		}
		slices.Reverse(out[from:])
	}
	return out
}
