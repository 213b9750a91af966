package replica

import "time"

// DefaultInterval is the time between two rounds with a peer, +-20 %.
const DefaultInterval = time.Minute

// Bounds of what one peer can cost. All numbers that a peer sends are hostile.
const (
	// chunk is how many blocks are asked for at once, and how many comments
	// are stored in one go: bitswap's client is slow one by one and hangs on
	// all at once.
	chunk = 512
	// flushBytes is how many bytes of nodes or comments gather in memory
	// before they are stored.
	flushBytes = 4 << 20

	// Of one round. A round that hits such a bound ends; what it did stays,
	// and the next one goes on from there.
	maxRoundNodes     = 200_000   // directory nodes fetched
	maxRoundNodeBytes = 256 << 20 // bytes of these
	maxRoundLinks     = 4 << 20   // links looked at, fetched or not
	maxPending        = 1 << 18   // nodes waiting to be looked at, about 200 B each
	maxDeferred       = 1 << 16   // comments that another round is fetching
	maxMissing        = 1024      // blocks that the peer's folders name and it does not give
	maxRoundTime      = 5 * time.Minute
	// turnTime is how long a stranger's round may ask for blocks while others
	// wait. Then it is cut, and goes on behind them.
	turnTime = 20 * time.Second

	// A peer stalls when a round that left something waited for it for at least
	// paceAfter and got fewer blocks a second than its pace. Each paceBytes
	// count as a block, if that makes more: eight rounds over one line of
	// 1 Mbit/s bring 60 small comments a second each, or 15 KB of large ones.
	// paceAfter is less than turnTime, else no round that is cut were judged,
	// and long enough for the few blocks at the top of a folder, which come
	// one by one, to come from far away.
	paceAfter    = 15 * time.Second
	paceBytes    = 512
	strangerPace = 20
	namedPace    = 1 // a person chose it: it may be slow

	// Of waiting. How long a peer may take for blocks is bounded by those who
	// fetch: comntr.Client and ipfs.Session.
	connectTime = 10 * time.Second // for a connection to the peer's IPFS node
	askTime     = 15 * time.Second // for one small answer over HTTP
	preferTime  = 10 * time.Minute // how long the way that worked is tried first
	claimTime   = 10 * time.Second // for another round's fetch of the same comment

	// Of one peer and community, between rounds.
	maxRetries = 10_000 // blocks remembered as absent or premature
	retryMin   = 5 * time.Second
	retryMax   = 6 * time.Hour
	walkGap    = time.Second // between the starts of two rounds
	// maxMends is how many comments that are damaged here are asked for in a
	// round, one by one: a disk that lost more has an operator who repairs it.
	maxMends = 64
	// retainGap is the least time between two tries to keep the peer's root:
	// each compares all of it with the one kept.
	retainGap = 30 * time.Second

	// maxWanted is how many topics that readers asked for are remembered of a
	// community, and how many of these a stranger may bring in a day beyond its
	// budget of new topics: a reader can ask for anything.
	maxWanted = 1000

	// Of events.
	maxStreams         = 64   // streams of strangers, and as many of named servers
	maxEventsPerSecond = 1000 // read of one stream
	maxQueue           = 1024 // named comments that wait to be fetched
	walkInstead        = 64   // named comments that wait: more, and a round is cheaper
	maxFalseEvents     = 64   // events in an hour that name what the peer has not
	reconnectMin       = 100 * time.Millisecond
	reconnectMax       = 30 * time.Second
	steadyTime         = 30 * time.Second // a stream that lasted so long was a good one

	// Of all peers.
	maxRounds     = 4    // rounds at once with strangers, and as many with named servers
	maxPeers      = 64   // servers followed in a community
	maxRemembered = 1024 // servers whose standing is remembered
	maxWindows    = 4096 // addresses whose budget is remembered
	// saveEvery is how often budgets are written down: so much of a day is
	// free at most for who has us killed.
	saveEvery = 5 * time.Minute
	// maxStateBytes is room for maxWindows entries with the longest names.
	maxStateBytes = 4 << 20
	lookAgain     = 10 * time.Second

	// failuresInRow is after how many rounds in a row that failed for lack of
	// an answer the server is reported as failed. A lie is reported at once.
	failuresInRow = 3
	// Of a server that lied or stalled.
	leaveMin = time.Minute
	leaveMax = time.Hour
	// maxMisdeeds is how many are counted: leaveMin doubled so often is leaveMax.
	maxMisdeeds = 6
	// forgiveTime is how long a peer is to behave for half of its misdeeds to be
	// forgotten. Do not forget them for a good round, because that costs nothing.
	forgiveTime = time.Hour
	// fullWait is how long nothing more is asked for once the disk is full.
	fullWait = 10 * time.Minute
)

// bounds are those that tests make smaller.
type bounds struct {
	nodes, nodeBytes, links, pending, missing int
	roundTime                                 time.Duration
}

func defaultBounds() bounds {
	return bounds{
		nodes: maxRoundNodes, nodeBytes: maxRoundNodeBytes, links: maxRoundLinks,
		pending: maxPending, missing: maxMissing,
		roundTime: maxRoundTime,
	}
}
