package comntr

// Verify is verify, for the signature vectors, which are no documents.
func Verify(key [32]byte, message []byte, sig [64]byte) bool { return verify(key, message, sig) }

// KeyMaySign is whether a key passes the checks that do not need a signature.
func KeyMaySign(key [32]byte) bool { return checkKey(key) != nil }

// Bounds for the tests of bounds.
const (
	StallTime    = stallTime
	EventSilence = eventSilence
	MaxEventLine = maxEventLine
	MaxBlocksCAR = maxBlocksCAR
	CallTime     = callTime
	KeyCacheMax  = keyCacheMax
)

// KeyCacheLen is how many keys are remembered.
func KeyCacheLen() int {
	keyCache.RLock()
	defer keyCache.RUnlock()
	return len(keyCache.m)
}

// ReadEvents is readEvents, for fuzzing without a server.
var ReadEvents = readEvents

// Bounds of a deny list.
const (
	MaxDenyRules     = maxDenyRules
	MaxDenyHeader    = maxDenyHeader
	MaxDenyLine      = maxDenyLine
	MaxDenyErrors    = maxDenyErrors
	MaxDenyCID       = maxDenyCID
	MaxDenyFunctions = maxDenyFunctions
)
