package admin

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/comntr/comntr/internal/api"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/measure"
	"github.com/comntr/comntr/internal/replica"
	"github.com/comntr/comntr/internal/store"
)

// Config says where counters are read. Each function is called once a scrape,
// and one that is nil counts nothing.
type Config struct {
	Version     string
	Communities []Community
	Disk        func() (used, max int64)
	API         func() api.Counters
	Node        func() ipfs.NodeCounters
	Replica     func() replica.Counters
	Book        func() discover.BookCounters
	DHTNodes    func() int
	Tracker     func() discover.TrackerCounters
	RTC         func() discover.RTCCounters
	Log         *slog.Logger
}

// Community is one that the server holds.
type Community struct {
	Name    string // as the operator wrote it
	Store   func() store.Counters
	Folders func() ipfs.FolderCounters
}

// collector makes metrics of counters when it is asked for them. It describes
// none before: what there is stands in Collect alone.
type collector struct {
	cfg Config

	reading sync.RWMutex
	over    bool // what the counters are of is about to be closed
}

// end waits for who reads counters. Nobody does afterwards.
func (c *collector) end() {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.over = true
}

func (*collector) Describe(chan<- *prometheus.Desc) {}

// Collect is every family that the server has. docs/grafana.json shows each:
// TestDashboard.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.reading.RLock()
	defer c.reading.RUnlock()
	if c.over {
		return
	}
	e := emitter{ch, make(map[string]*prometheus.Desc)}
	e.gauge("build_info", "The version that runs; the value is always 1.", 1, label{"version", c.cfg.Version})
	e.api(read(c.cfg.API))
	for _, community := range c.cfg.Communities {
		of := label{"community", community.Name}
		e.store(read(community.Store), of)
		e.folders(read(community.Folders), of)
	}
	if c.cfg.Disk != nil {
		used, max := c.cfg.Disk()
		e.gauge("disk_used_bytes", "Disk that comments take, each file rounded up to 4 KiB.", float64(used))
		e.gauge("disk_limit_bytes", "Disk that comments may take; 0: no limit.", float64(max))
	}
	e.node(read(c.cfg.Node))
	e.replica(read(c.cfg.Replica))
	e.discover(c.cfg)
}

// read calls fn, if there is one.
func read[T any](fn func() T) (v T) {
	if fn != nil {
		v = fn()
	}
	return v
}

func (e *emitter) api(c api.Counters) {
	for _, r := range c.Routes {
		for i, n := range r.Answers {
			e.counter("http_requests_total", "Requests answered, by what they asked for and the class of the answer's status.", float64(n),
				label{"route", r.Route}, label{"status", fmt.Sprintf("%dxx", i+1)})
		}
		if r.Time != nil {
			e.seconds("http_request_duration_seconds", "From a request's header to the end of its answer.", *r.Time, label{"route", r.Route})
		}
	}
	for _, r := range c.Refusals {
		const name, help = "refusals_total", "Requests refused, by the code of the problem document; of posts, and of all else."
		e.counter(name, help, float64(r.Posts), label{"of", "post"}, label{"reason", r.Reason})
		e.counter(name, help, float64(r.Others), label{"of", "other"}, label{"reason", r.Reason})
	}
	const posts, help = "posts_total", "Comments that readers posted and the server has: new ones, and ones that were here before."
	e.counter(posts, help, float64(c.PostsNew), label{"result", "new"})
	e.counter(posts, help, float64(c.PostsKnown), label{"result", "known"})
	e.counter("http_received_bytes_total", "Bytes of requests' bodies.", float64(c.Received))
	e.counter("http_sent_bytes_total", "Bytes of answers' bodies, compressed where they were.", float64(c.Sent))
	e.gauge("http_connections", "TCP connections of readers and servers that are open.", float64(c.Connections))
	e.gauge("webtransport_sessions", "WebTransport connections that are open.", float64(c.Sessions))
	e.gauge("event_listeners", "Streams of events that are open.", float64(c.Listeners))
	e.gauge("car_writers", "CARs that are being written.", float64(c.CARs))
}

func (e *emitter) store(c store.Counters, of label) {
	e.gauge("comments", "Comments listed.", float64(c.Comments), of)
	e.gauge("topics", "Topics, empty ones too.", float64(c.Topics), of)
	e.gauge("comments_bytes", "Bytes of all comments.", float64(c.Bytes), of)
	const name, help = "comments_stored_total", "Comments that were new here, from readers and from other servers."
	e.counter(name, help, float64(c.FromReaders), of, label{"from", "reader"})
	e.counter(name, help, float64(c.FromServers), of, label{"from", "server"})
	e.seconds("commit_duration_seconds", "From a commit's beginning until its comments are durable and in their folders.", c.CommitTime, of)
	e.histogram("commit_comments", "New comments of one commit.", c.CommitItems, 1, of)
	e.histogram("commit_bytes", "Bytes of the new comments of one commit.", c.CommitBytes, 1, of)
	e.gauge("commits_waiting", "Requests that wait for the next commit.", float64(c.Waiting), of)
	e.seconds("checkpoint_duration_seconds", "How long it took to make the files of many commits durable.", c.CheckpointTime, of)
	e.counter("checkpoint_failures_total", "Checkpoints that failed: the disk does.", float64(c.FailedCheckpoint), of)
	e.gauge("dirty_topics", "Topics with files that are durable in the journal alone, until the next checkpoint.", float64(c.DirtyTopics), of)
	e.gauge("journal_entries", "Entries of the journal.", float64(c.JournalItems), of)
	e.gauge("journal_bytes", "Bytes of the journal.", float64(c.JournalBytes), of)
	e.gauge("index_bytes", "Disk that the index takes.", float64(c.IndexBytes), of)
	failed := 0.0
	if c.Failed {
		failed = 1
	}
	e.gauge("store_failed", "1 where the store takes nothing until the server is started again.", failed, of)
}

func (e *emitter) folders(c ipfs.FolderCounters, of label) {
	e.seconds("topic_folder_duration_seconds", "How long a changed topic's new folder id took.", c.TopicTime, of)
	e.seconds("root_folder_duration_seconds", "How long the community's folder id took, with all topics that had changed.", c.RootTime, of)
	e.counter("folder_nodes_made_total", "Directory nodes made for own folders.", float64(c.Made), of)
	e.counter("blocks_given_total", "Blocks read for readers and other servers, one by one or in CARs.", float64(c.Given), of)
	e.counter("blocks_given_bytes_total", "Bytes of these blocks.", float64(c.GivenBytes), of)
	e.gauge("blocks_disk_bytes", "Disk that the database of blocks takes.", float64(c.DiskBytes), of)
	e.gauge("blocks_replaced_bytes", "Bytes of replaced directory nodes that wait to be collected.", float64(c.GraceBytes), of)
	e.gauge("blocks_retained_bytes", "Bytes of directory nodes kept for other servers' ids.", float64(c.RetainedBytes), of)
	e.gauge("retained_folders", "Other servers whose folder id is kept.", float64(c.Retained), of)
}

func (e *emitter) node(c ipfs.NodeCounters) {
	e.gauge("ipfs_peers", "Peers that the IPFS node is connected to.", float64(c.Peers))
	e.gauge("ipfs_dht_nodes", "Nodes of the IPFS DHT in the routing table.", float64(c.DHTNodes))
	e.gauge("bitswap_peers", "Peers that blocks are given to over bitswap.", float64(c.AskedByPeers))
	e.counter("bitswap_sent_blocks_total", "Blocks sent over bitswap.", float64(c.SentBlocks))
	e.counter("bitswap_sent_bytes_total", "Bytes of these blocks.", float64(c.SentBytes))
	e.counter("bitswap_received_blocks_total", "Blocks asked for over bitswap, come and verified.", float64(c.CameBlocks))
	e.counter("bitswap_received_bytes_total", "Bytes of these blocks.", float64(c.CameBytes))
}

func (e *emitter) replica(c replica.Counters) {
	const name, help = "rounds_total", "Rounds: other servers' folders compared with the own."
	e.counter(name, help, float64(c.Rounds), label{"result", "done"})
	e.counter(name, help, float64(c.FailedRounds), label{"result", "failed"})
	e.seconds("round_duration_seconds", "How long a round took.", c.RoundTime)
	e.gauge("replica_followed", "Pairs of a server and a community that are followed.", float64(c.Following))
	e.gauge("replica_merged", "Those of which the last round left nothing.", float64(c.Merged))
	e.counter("replica_nodes_total", "Directory nodes fetched from other servers.", float64(c.Nodes))
	e.counter("replica_comments_total", "Comments fetched from other servers.", float64(c.Leaves))
	e.counter("replica_bytes_total", "Bytes of these nodes and comments.", float64(c.Bytes))
	e.counter("replica_new_total", "Comments of these that were new here.", float64(c.Created))
	e.counter("replica_events_total", "Comments that other servers told of.", float64(c.Events))
	e.counter("replica_missing_blocks_total", "Blocks that other servers' folders name and they did not give.", float64(c.Missing))
	e.counter("replica_left_alone_total", "How often a server was left alone for what it did.", float64(c.LeftAlone))
	for _, r := range c.Refused {
		e.counter("replica_refused_total", "What other servers brought and was not taken.", float64(r.Count), label{"reason", r.Reason})
	}
}

func (e *emitter) discover(cfg Config) {
	b := read(cfg.Book)
	const servers, help = "servers", "Addresses of other servers: all that are remembered, those that proved who they are and are used, those asked now."
	e.gauge(servers, help, float64(b.Known), label{"state", "known"})
	e.gauge(servers, help, float64(b.Working), label{"state", "working"})
	e.gauge(servers, help, float64(b.Asking), label{"state", "asking"})
	const hellos, answers = "hellos_total", "Other servers asked who they are: those that proved it, and those that did not answer well."
	e.counter(hellos, answers, float64(b.Proved), label{"result", "good"})
	e.counter(hellos, answers, float64(b.Failed), label{"result", "failed"})
	e.gauge("dht_nodes", "Nodes of the BitTorrent DHT in the routing tables.", float64(read(cfg.DHTNodes)))
	t := read(cfg.Tracker)
	e.gauge("tracker_sockets", "WebSockets of the embedded tracker.", float64(t.Sockets))
	e.gauge("tracker_swarms", "Swarms at the embedded tracker.", float64(t.Swarms))
	e.gauge("tracker_peers", "Peers in these swarms, this server too.", float64(t.Peers))
	r := read(cfg.RTC)
	const rtc, state = "webrtc_connections", "WebRTC connections: open ones, and answered ones that are not open yet."
	e.gauge(rtc, state, float64(r.Open), label{"state", "open"})
	e.gauge(rtc, state, float64(r.Pending), label{"state", "pending"})
	e.counter("webrtc_opened_total", "WebRTC connections that opened.", float64(r.Opened))
	e.counter("webrtc_busy_total", "WebRTC offers for which there was no room.", float64(r.Busy))
}

// label is one of a metric. Values are words of this program, or the names that
// the operator gave his communities.
type label struct{ name, value string }

// emitter sends metrics. Families are described when they are first sent.
type emitter struct {
	ch    chan<- prometheus.Metric
	descs map[string]*prometheus.Desc
}

func (e *emitter) desc(name, help string, labels []label) (*prometheus.Desc, []string) {
	values := make([]string, len(labels))
	for i, l := range labels {
		values[i] = l.value
	}
	d := e.descs[name]
	if d == nil {
		names := make([]string, len(labels))
		for i, l := range labels {
			names[i] = l.name
		}
		d = prometheus.NewDesc("comntr_"+name, help, names, nil)
		e.descs[name] = d
	}
	return d, values
}

func (e *emitter) counter(name, help string, v float64, labels ...label) {
	d, values := e.desc(name, help, labels)
	e.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, values...)
}

func (e *emitter) gauge(name, help string, v float64, labels ...label) {
	d, values := e.desc(name, help, labels)
	e.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, values...)
}

// seconds is a histogram of nanoseconds.
func (e *emitter) seconds(name, help string, s measure.Snapshot, labels ...label) {
	e.histogram(name, help, s, float64(time.Second), labels...)
}

// histogram is one whose values are divided by unit.
func (e *emitter) histogram(name, help string, s measure.Snapshot, unit float64, labels ...label) {
	d, values := e.desc(name, help, labels)
	buckets, n := make(map[float64]uint64, len(s.Bounds)), uint64(0)
	for i, b := range s.Bounds {
		n += s.Counts[i]
		buckets[float64(b)/unit] = n
	}
	e.ch <- prometheus.MustNewConstHistogram(d, s.Count(), float64(s.Sum)/unit, buckets, values...)
}
