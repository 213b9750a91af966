package replica_test

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

// signed makes a signed document with a date.
func signed(t testing.TB, topic string, date time.Time, body string) string {
	t.Helper()
	place := comntr.Place{Community: reddit, Topic: comntr.HashOrName(topic)}
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	part := fmt.Sprintf("Public-Key: %x\nTopic: %s\nDate: %s\n\n%s", key.Public(), place, date.Format(comntr.DateFormat), body)
	return fmt.Sprintf("Signature: %x\n%s", ed25519.Sign(key, []byte(part)), part)
}
