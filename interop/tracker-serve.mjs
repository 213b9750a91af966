// A WebTorrent tracker of npm's bittorrent-tracker on a port of its own, whose URL
// it prints, at an address of this host. Ends when its standard input does.
//
//	node tracker-serve.mjs [ADDRESS]
import { Server } from 'bittorrent-tracker'

const server = new Server({ udp: false, http: false, ws: true, stats: false })
server.on('error', err => { console.error(err); process.exit(1) })
const [address = '127.0.0.1'] = process.argv.slice(2)
server.listen(0, address, () => console.log(`ws://${address}:${server.ws.address().port}`))
process.stdin.on('end', () => process.exit(0)).resume()
