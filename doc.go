// Package comntr is the protocol of the comments network: hashes, documents,
// folders as IPFS blocks, the signed hello, and a client. It has no storage
// and starts no goroutine of its own.
//
// Its invariant: what it accepts, every implementation of SPEC.md accepts. A
// [Document] exists only if its bytes are valid for their place; a folder's
// node is taken only in its one canonical encoding, under the CID that its
// bytes hash to.
package comntr
