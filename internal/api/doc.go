// Package api is the server's HTTP door: it answers the table of SPEC.md,
// "HTTP", over the stores and folders it is given, and decides admission (rate,
// size, dates ahead of time, work), which no other package does. The same door
// opens to WebTransport, for pages on https.
//
// Its invariant: what it answers 201 to is durable and in the topic's folder;
// a request it refuses has stored nothing. Every refusal is one RFC 9457
// problem document whose code names the case, and every byte, second and
// connection a stranger can use up is bounded by a constant of this package.
package api
