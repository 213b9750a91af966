// An IPFS node that is no comntr server: Helia, which a browser can dial by WebSocket, and a router (delegated routing v1)
// that knows it. Prints {addr, router} as one line of JSON, and ends with its stdin, each line of which is an act:
//
//   keep MULTIADDR CID    fetches a folder over bitswap from a node and holds it
//   get CID               fetches a folder from whoever is connected; prints one line of JSON: its files' bytes by name
//   lie                   from now on gives every block with one bit changed
//   leave                 leaves the node that keep asked
//   asked                 prints how many blocks were asked of it
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { identify } from '@libp2p/identify'
import { multiaddr } from '@multiformats/multiaddr'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import { MemoryBlockstore } from 'blockstore-core'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'

// Node 20 lacks what these libraries use of newer ones.
Promise.withResolvers ??= () => {
  const d = {}
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }))
  return d
}

let lies = false
let asked = 0
class Store extends MemoryBlockstore {
  async * get (cid, options) {
    asked++
    for await (const block of super.get(cid, options)) {
      const copy = Uint8Array.from(block)
      if (lies) copy[copy.length >> 1] ^= 1
      yield copy
    }
  }
}
const blockstore = new Store()
const helia = withBitswap(withLibp2pLight(createHeliaLight({ blockstore }), {
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0/ws'] },
  transports: [tcp(), webSockets()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify() }
}))
await helia.start()
const fs = unixfs(helia)
const [addr] = helia.libp2p.getMultiaddrs().map(String)

async function folder (cid) {
  const signal = AbortSignal.timeout(100_000)
  const entries = []
  for await (const entry of fs.ls(CID.parse(cid), { signal })) entries.push(entry)
  const files = {}
  // Some at a time: one by one each would wait for a message of its own.
  await Promise.all(Array.from({ length: 64 }, async () => {
    for (let entry; (entry = entries.pop()) != null;) {
      const parts = []
      for await (const part of fs.cat(entry.cid, { signal })) parts.push(part)
      files[entry.name] = Buffer.concat(parts).toString('base64')
    }
  }))
  return files
}

const router = createServer((request, response) => {
  void (async () => {
    const [, cid] = /^\/routing\/v1\/providers\/(\w+)$/.exec(request.url) ?? []
    const has = cid !== undefined && await blockstore.has(CID.parse(cid))
    const [at, id] = addr.split('/p2p/')
    response.writeHead(200, { 'Content-Type': 'application/json', 'Access-Control-Allow-Origin': '*' })
    response.end(JSON.stringify({ Providers: has ? [{ Schema: 'peer', ID: id, Addrs: [at], Protocols: ['transport-bitswap'] }] : null }))
  })()
})
router.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ addr, router: `http://127.0.0.1:${router.address().port}` })))

let from
for await (const line of createInterface({ input: process.stdin })) {
  const [act, ...args] = line.split(' ')
  if (act === 'keep') {
    from = multiaddr(args[0])
    await helia.libp2p.dial(from)
    await folder(args[1])
  }
  if (act === 'leave') await helia.libp2p.hangUp(from)
  if (act === 'lie') lies = true
  console.log(JSON.stringify(act === 'get' ? await folder(args[0]) : act === 'asked' ? asked : 'done'))
}
process.exit(0)
