// Announces an infohash at a WebTorrent tracker with the client of npm's
// bittorrent-tracker, as a seed or as one that has nothing, and prints what it
// gets: counts, offers, answers. Ends when its standard input does.
//
//	node tracker-meet.mjs WS_URL INFOHASH PEER_ID_HEX seed|leech
import Client from 'bittorrent-tracker'

const [announce, infoHash, peerId, role] = process.argv.slice(2)
const client = new Client({
  announce, infoHash, peerId, port: 6881,
  getAnnounceOpts: () => ({ left: role === 'seed' ? 0 : 1, uploaded: 0, downloaded: 0 })
})
const say = (...words) => process.stdout.write(words.join(' ') + '\n')
const fail = err => say('warning', err.message)

client.on('error', fail)
client.on('warning', fail)
client.on('update', r => say('update', r.complete, r.incomplete, r.interval))
client.on('scrape', r => say('scrape', r.infoHash, r.complete, r.incomplete))
client.on('peer', peer => {
  peer.on('error', () => {})
  const told = () => {
    const d = peer._pc.remoteDescription
    if (!d) return setImmediate(told) // signal() comes after this event
    say(d.type, 'of', peer.id, JSON.stringify(d.sdp))
  }
  told()
})
process.stdin.on('data', line => {
  if (String(line).trim() === 'scrape') client.scrape()
})
process.stdin.on('end', () => {
  client.stop()
  client.destroy(() => process.exit(0))
})
client.start()
