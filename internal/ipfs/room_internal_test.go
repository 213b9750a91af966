package ipfs

import (
	"context"
	"errors"
	"log/slog"
	"testing"
)

// As long as Pebble is behind and fails, nothing is written: not one look's worth for
// each refusal either.
func TestAwaitLooksAgain(t *testing.T) {
	r := &room{ctx: context.Background(), log: slog.New(slog.DiscardHandler)}
	behind := true
	for _, n := range []int{lookEvery - 1, 1, 1, lookEvery} {
		if n < lookEvery-1 || n == lookEvery {
			r.fail(errors.New("full"))
		}
		err := r.await(n, func() bool { return behind })
		if first := n == lookEvery-1; first != (err == nil) || !first && !errors.Is(err, ErrNoRoom) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	behind = false
	if err := r.await(1, func() bool { return behind }); err != nil {
		t.Errorf("not behind: %v", err)
	}
	behind = true
	if err := r.await(lookEvery-1, func() bool { return behind }); err != nil {
		t.Errorf("after a look that was well: %v", err)
	}
}
