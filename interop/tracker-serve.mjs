// A WebTorrent tracker of npm's bittorrent-tracker on a port of its own, whose URL
// it prints. Ends when its standard input does.
//
//	node tracker-serve.mjs
import { Server } from 'bittorrent-tracker'

const server = new Server({ udp: false, http: false, ws: true, stats: false })
server.on('error', err => { console.error(err); process.exit(1) })
server.listen(0, '127.0.0.1', () => console.log(`ws://127.0.0.1:${server.ws.address().port}`))
process.stdin.on('end', () => process.exit(0)).resume()
