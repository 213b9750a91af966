// Package ipfs turns a community's comments into IPFS folders and serves them:
// folder ids and blocks ([Folders]), and the embedded node that speaks bitswap
// and the IPFS DHT.
//
// Its invariants:
//
//   - A folder's id is a function of the folder's files alone, to the letter what
//     `ipfs add -r -Q` prints: never of the order in which they came.
//   - An id that Root or Topic returns is at least as new as every comment
//     acknowledged before the call.
//   - No block leaves without having been hashed against its CID.
//   - Everything kept here is derived. It may be deleted at any time and is then
//     built again from the [Source].
//
// Leaves, the comments themselves, are not stored: they are made from the
// source's files when asked for. Only directory nodes are kept.
package ipfs
