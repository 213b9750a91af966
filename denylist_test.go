package comntr_test

import (
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// TestDenylistOfTheFormat reads the examples of IPIP-383.
func TestDenylistOfTheFormat(t *testing.T) {
	l, errs := comntr.ParseDenylist([]byte(`version: 1
name: Example
hints:
  hint: value
---
# remark
/ipfs/bafybeihvvulpp4evxj7x7armbqcyg6uezzuig6jp3lktpbovlqfkuqeuoq
/ipfs/Qmah2YDTfrox4watLCr3YgKyBwvjq8FJZEFdWY6WtJ3Xt2/test*
/ipns/domain.example
//QmX9dhRcQcKUw3Ws8485T5a9dtjrSCQaUAHnG4iK9i4ceM
//gW813G35CnLsy7gRYYHuf63hrz71U1xoLFDVeV7actx6oX
//d9d295bde21f422d471a90f2a37ec53049fdf3e5fa3ee2e8f20e10003da429e7
`))
	if len(errs) != 0 {
		t.Fatal(errs)
	}
	for c, line := range map[string]int{
		"bafybeihvvulpp4evxj7x7armbqcyg6uezzuig6jp3lktpbovlqfkuqeuoq": 7,
		"bafkreihvvulpp4evxj7x7armbqcyg6uezzuig6jp3lktpbovlqfkuqeuoq": 7,
		"QmesfgDQ3q6prBy2Kg2gKbW4MAGuWiRP2DVuGA5MZSERLo":              7,
		"Qmah2YDTfrox4watLCr3YgKyBwvjq8FJZEFdWY6WtJ3Xt2":              0,
		"bafybeidjwik6im54nrpfg7osdvmx7zojl5oaxqel5cmsz46iuelwf5acja": 10,
		"QmVTF1yEejXd9iMgoRTFDxBv7HAz9kuZcQNBzHrceuK9HR":              10,
		"bafybeiefwqslmf6zyyrxodaxx4vwqircuxpza5ri45ws3y5a62ypxti42e": 12,
		"bafkreiefwqslmf6zyyrxodaxx4vwqircuxpza5ri45ws3y5a62ypxti42e": 0,
	} {
		r, ok := l.CID(cid.MustParse(c))
		if ok != (line > 0) || r.Line != line {
			t.Errorf("%s: %v, %v", c, r, ok)
		}
	}
}
