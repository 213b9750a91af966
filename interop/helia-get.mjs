// Fetches a folder by its id with Helia, over bitswap from the node at ADDR,
// and prints one line of JSON for each file: its name and its bytes in base64.
//
//   node helia-get.mjs MULTIADDR CID
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { identify } from '@libp2p/identify'
import { multiaddr } from '@multiformats/multiaddr'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'

// Node 20 lacks what these libraries use of newer ones.
Promise.withResolvers ??= () => {
  const d = {}
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }))
  return d
}

const [addr, id] = process.argv.slice(2)
const helia = withBitswap(withLibp2pLight(createHeliaLight(), {
  addresses: { listen: [] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify() }
}))
await helia.start()
await helia.libp2p.dial(multiaddr(addr))

const signal = AbortSignal.timeout(100_000)
const fs = unixfs(helia)
const entries = []
for await (const entry of fs.ls(CID.parse(id), { signal })) entries.push(entry)
// Some at a time: one by one each would wait for a message of its own.
await Promise.all(Array.from({ length: 64 }, async () => {
  for (let entry; (entry = entries.pop()) != null;) {
    const parts = []
    for await (const part of fs.cat(entry.cid, { signal })) parts.push(part)
    process.stdout.write(JSON.stringify({ name: entry.name, bytes: Buffer.concat(parts).toString('base64') }) + '\n')
  }
}))
await helia.stop()
process.stdout.write('', () => process.exit(0))
