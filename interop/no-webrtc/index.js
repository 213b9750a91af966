// In the place of webrtc-polyfill, whose binaries come from outside the npm
// registry: descriptions as a browser would make them, of connections that are
// never made. It is enough for what goes through a tracker.
let made = 0

class Description {
  constructor ({ type, sdp }) { Object.assign(this, { type, sdp }) }
}

class Connection {
  connectionState = 'new'
  iceConnectionState = 'new'
  iceGatheringState = 'new'
  signalingState = 'stable'
  localDescription = null
  remoteDescription = null

  createDataChannel (label) {
    return { label, readyState: 'connecting', bufferedAmount: 0, close () {}, send () {} }
  }

  async createOffer () { return this.describe('offer') }
  async createAnswer () { return this.describe('answer') }

  describe (type) {
    return new Description({ type, sdp: `v=0\r\no=- ${process.pid} ${++made} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=<${type}>\r\n` })
  }

  async setLocalDescription (d) {
    this.localDescription = d
    this.iceGatheringState = 'complete'
    queueMicrotask(() => this.onicecandidate?.({ candidate: null }))
  }

  async setRemoteDescription (d) { this.remoteDescription = d }
  async addIceCandidate () {}
  async getStats () { return new Map() }
  close () { this.signalingState = 'closed' }
}

class Candidate {}

export { Connection as RTCPeerConnection, Description as RTCSessionDescription, Candidate as RTCIceCandidate }
export default {}
