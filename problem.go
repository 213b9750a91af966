package comntr

// Problem is the body of every error answer: RFC 9457, as
// application/problem+json. Code names the case for programs and never
// changes; Detail says what happened, to what, and what to do.
type Problem struct {
	Type   string `json:"type"`   // "about:blank"; Code tells cases apart
	Title  string `json:"title"`  // the HTTP status in words
	Status int    `json:"status"` // the HTTP status
	Code   string `json:"code"`
	Detail string `json:"detail"`
	// RetryAfter is in seconds, 0 where waiting does not help. It is the
	// Retry-After header's value.
	RetryAfter int `json:"retryAfter,omitempty"`
	// Work is, with CodeWorkNeeded, how many bits of work the document must
	// have to be taken.
	Work int `json:"work,omitempty"`
}

func (p *Problem) Error() string { return p.Detail }

// Codes of what can be wrong with a document (status 422, but for
// CodeTooLarge: 413).
const (
	CodeEmpty        = "empty"
	CodeTooLarge     = "too-large"
	CodeCollision    = "sha1-collision"
	CodeNotUTF8      = "not-utf8"
	CodeNUL          = "nul"
	CodeBadHeader    = "bad-header"
	CodeWrongTopic   = "wrong-topic"
	CodeBadSignature = "bad-signature"
	CodePremature    = "premature"
	// CodeWorkNeeded: valid, but with too little work for this server now.
	// Problem.Work says how much it wants; Draft.SignWithWork pays.
	CodeWorkNeeded = "work-needed"
)

// Codes of the other refusals.
const (
	CodeBadPath       = "bad-path"       // 400: a path of no known form, a topic that is not 40 lower-case hex
	CodeBadRequest    = "bad-request"    // 400: a query, header or body that cannot be read
	CodeNotFound      = "not-found"      // 404: an unknown community, topic, comment or block
	CodeMethod        = "method"         // 405
	CodeNotAcceptable = "not-acceptable" // 406
	CodeTimeout       = "timeout"        // 408: the body stalled
	CodeSlotTaken     = "slot-taken"     // 409: another name of the folder has the same 64 bits of murmur3
	CodeGone          = "gone"           // 410: removed by its author
	CodeDenied        = "denied"         // 451: the operator's deny list denies it, on this server
	CodeUpgrade       = "upgrade"        // 426: a WebSocket is spoken here
	CodeRateLimited   = "rate-limited"   // 429
	CodeInternal      = "internal"       // 500: a fault of the server, logged there
	CodeDamaged       = "damaged"        // 500: the file's bytes are no longer its own; other servers may have it
	CodeStopping      = "stopping"       // 503
	CodeBusy          = "busy"           // 503: a bound on concurrent work is reached
	CodeFull          = "full"           // 507: the disk, or what the operator gave, is used up
)
