package comntr

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Bencoding (BEP 3) of what travels over a data channel: byte strings,
// integers, dictionaries. A list is read and is nobody's business.

// Bounds of what is read: strangers write it.
const (
	maxBencodeDepth = 8   // the outermost dictionary is the first level
	maxBencodeItems = 512 // values in all
)

var errBencode = errors.New("not bencoded as BEP 3 says")

// bdict is a dictionary. Its values are []byte, int64, bdict, or nil for a list.
type bdict map[string]any

func (d bdict) bytes(key string) []byte { b, _ := d[key].([]byte); return b }
func (d bdict) dict(key string) bdict   { m, _ := d[key].(bdict); return m }
func (d bdict) int(key string) (int64, bool) {
	n, ok := d[key].(int64)
	return n, ok
}

// append adds d's encoding to b. Values are as in bdict, or strings or ints.
func (d bdict) append(b []byte) []byte {
	keys := make([]string, 0, len(d))
	for k := range d {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, 'd')
	for _, k := range keys {
		b = appendBytes(b, k)
		switch v := d[k].(type) {
		case []byte:
			b = appendBytes(b, v)
		case string:
			b = appendBytes(b, v)
		case int:
			b = append(strconv.AppendInt(append(b, 'i'), int64(v), 10), 'e')
		case bdict:
			b = v.append(b)
		default:
			panic(fmt.Sprintf("a %T is not written in bencoding", v))
		}
	}
	return append(b, 'e')
}

func appendBytes[T []byte | string](b []byte, s T) []byte {
	b = append(strconv.AppendInt(b, int64(len(s)), 10), ':')
	return append(b, s...)
}

// parseDict reads one dictionary, which must be all of b. Keys need not be
// sorted (other programs' are not always), but none may stand twice. Strings
// in it are parts of b.
func parseDict(b []byte) (bdict, error) {
	p := bparser{b: b}
	d, ok := p.value(1).(bdict)
	if p.bad || !ok || len(p.b) > 0 {
		return nil, errBencode
	}
	return d, nil
}

// bparser eats b from the front. After bad nothing it returned counts.
type bparser struct {
	b     []byte
	items int
	bad   bool
}

func (p *bparser) fail() any {
	p.bad, p.b = true, nil
	return nil
}

func (p *bparser) value(depth int) any {
	if p.items++; len(p.b) == 0 || depth > maxBencodeDepth || p.items > maxBencodeItems {
		return p.fail()
	}
	switch p.b[0] {
	case 'i':
		p.b = p.b[1:]
		return p.number('e')
	case 'l':
		p.b = p.b[1:]
		for !p.end() {
			p.value(depth + 1)
		}
		return nil
	case 'd':
		p.b = p.b[1:]
		d := bdict{}
		for !p.end() {
			k, ok := p.string().([]byte)
			if _, twice := d[string(k)]; !ok || twice {
				return p.fail()
			}
			d[string(k)] = p.value(depth + 1)
		}
		return d
	}
	return p.string()
}

// end reports whether a list or dictionary is at its end, and eats it.
func (p *bparser) end() bool {
	if len(p.b) == 0 {
		p.fail()
		return true
	}
	if p.b[0] == 'e' {
		p.b = p.b[1:]
		return true
	}
	return false
}

func (p *bparser) string() any {
	if len(p.b) == 0 || p.b[0] == '-' {
		return p.fail()
	}
	n, ok := p.number(':').(int64)
	if !ok || n > int64(len(p.b)) {
		return p.fail()
	}
	s := p.b[:n:n]
	p.b = p.b[n:]
	return s
}

// number reads a number in its one spelling and what ends it.
func (p *bparser) number(end byte) any {
	i := bytes.IndexByte(p.b[:min(len(p.b), 21)], end) // no int64 is longer
	if i < 0 {
		return p.fail()
	}
	n, err := strconv.ParseInt(string(p.b[:i]), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(p.b[:i]) {
		return p.fail()
	}
	p.b = p.b[i+1:]
	return n
}
