package comntr_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

func FuzzParseDenylist(f *testing.F) {
	for _, c := range denyCases(f) {
		f.Add([]byte(c.List))
	}
	u := newDenyUniverse(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		l, errs := comntr.ParseDenylist(b)
		if !bytes.Equal(b, before) {
			t.Fatal("parsing changed the bytes")
		}
		lines := 1 + bytes.Count(b, []byte("\n"))
		for i, e := range errs {
			if e.Line < 1 || e.Line > lines || e.Detail == "" || i > 0 && errs[i-1].Line >= e.Line {
				t.Fatalf("error %d: %+v", i, e)
			}
		}
		if l.Len() < 0 || l.Len() > 2*lines {
			t.Fatalf("%d are denied by %d lines", l.Len(), lines)
		}
		text := strings.Split(strings.TrimPrefix(string(b), "\ufeff"), "\n")
		// check wants the rule to be a line that says the same by itself.
		check := func(r comntr.DenyRule, denied bool, again func(*comntr.Denylist) bool) bool {
			if !denied {
				if r != (comntr.DenyRule{}) {
					t.Fatalf("nothing is denied, by %+v", r)
				}
				return false
			}
			if l.Len() == 0 || r.Text == "" || r.Text != strings.Trim(text[r.Line-1], " \t\r") {
				t.Fatalf("denied by %+v", r)
			}
			alone, errs := comntr.ParseDenylist([]byte(r.Text))
			if len(errs) > 0 || !again(alone) {
				t.Fatalf("%q does not deny by itself what it denies in its list: %v", r.Text, errs)
			}
			r2 := r
			r2.Text += " hint:value"
			if r.Hash() != r2.Hash() {
				t.Fatalf("%q has another hash with a hint", r.Text)
			}
			return true
		}
		for _, p := range u.places {
			r, ok := l.Topic(p)
			topic := check(r, ok, func(l *comntr.Denylist) bool { _, ok := l.Topic(p); return ok })
			for _, s := range u.texts {
				id := comntr.SumHash([]byte(s))
				r, ok = l.Comment(p, id)
				comment := check(r, ok, func(l *comntr.Denylist) bool { _, ok := l.Comment(p, id); return ok })
				r, ok = l.File(p, id, []byte(s))
				file := check(r, ok, func(l *comntr.Denylist) bool { _, ok := l.File(p, id, []byte(s)); return ok })
				if topic && !comment || comment && !file || !l.ByContent() && comment != file {
					t.Fatalf("topic %v, comment %v, file %v", topic, comment, file)
				}
			}
		}
		for _, s := range u.texts {
			for _, v := range versions {
				c := v.LeafCID([]byte(s))
				r, ok := l.CID(c)
				check(r, ok, func(l *comntr.Denylist) bool { _, ok := l.CID(c); return ok })
			}
		}
		l.CID(cid.Undef)
	})
}
