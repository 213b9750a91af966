// Package discover finds servers by the hash of a community's name. It
// announces own servers and looks up others' under SHA1(community) on the
// BitTorrent mainline DHT (BEP 5, BEP 32, BEP 42), asks every address found for
// its signed hello, and keeps a book of those that answered with a good one.
// For browsers, which have no DHT, it is a WebTorrent tracker, and announces at
// those of others.
//
// Its invariant: an address that a stranger named is a candidate and nothing
// else. It gets one guarded, bounded try; it becomes a [Server] only by a hello
// signed for that very address; and how many are kept, tried and remembered has
// a bound that no stranger can lift. A [Tracker] passes to a peer only what
// that peer announced itself for, or asked for.
//
// Browsers reach the server by WebRTC: the package answers the offers that come
// by the trackers ([RTC]), proves who answers by a hello signed for the very
// connection, and serves the HTTP handler it is given over the data channel.
// What an asker says costs a bounded amount, and nothing in an offer leads into
// a private network.
//
// It is the sole importer of anacrolix/dht, coder/websocket and pion.
package discover
