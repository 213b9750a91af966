package store

import (
	"math/rand/v2"
	"testing"
)

// A name belongs to one file at a time, and there are no more than files.
func TestTmpNames(t *testing.T) {
	var names tmpNames
	r := rand.New(rand.NewPCG(1, 0))
	used, most := []string{}, 0
	for range 10_000 {
		if r.IntN(2) == 0 {
			name := names.take()
			for _, u := range used {
				if u == name {
					t.Fatalf("%q is another's", name)
				}
			}
			used = append(used, name)
			most = max(most, len(used))
		} else if n := len(used); n > 0 {
			i := r.IntN(n)
			names.free(used[i])
			used[i] = used[n-1]
			used = used[:n-1]
		}
	}
	if names.made != uint64(most) || len(names.freed) != most-len(used) {
		t.Errorf("%d made, %d free; %d at a time, %d now", names.made, len(names.freed), most, len(used))
	}
}
