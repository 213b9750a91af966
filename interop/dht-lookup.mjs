// Looks an infohash up on the DHT with npm's bittorrent-dht and prints the
// first peer as HOST:PORT. Exit 1 when none was found in time.
//
//	node dht-lookup.mjs BOOTSTRAP_HOST:PORT INFOHASH [SECONDS]
import DHT from 'bittorrent-dht'

const [bootstrap, infohash, seconds = '15'] = process.argv.slice(2)
if (!bootstrap || !/^[0-9a-f]{40}$/.test(infohash ?? '')) {
  console.error('usage: node dht-lookup.mjs BOOTSTRAP_HOST:PORT INFOHASH [SECONDS]')
  process.exit(2)
}

const dht = new DHT({ bootstrap: [bootstrap] })
const give = (code, line) => {
  if (line) console.log(line)
  dht.destroy(() => process.exit(code))
}
const look = () => dht.lookup(infohash)

dht.on('error', err => { console.error(err); give(1) })
dht.on('peer', peer => give(0, `${peer.host}:${peer.port}`))
dht.on('ready', look)
dht.listen(0)
setInterval(look, 1000) // a lookup that came before the announce finds nothing
setTimeout(() => { console.error(`no peer under ${infohash} within ${seconds} s`); give(1) }, seconds * 1000)
