package comntr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The BitTorrent wire protocol as it is spoken over a WebRTC data channel, and
// HTTP inside of it (SPEC.md, "Over a data channel").
//
// A data channel is taken as a stream of bytes: where its messages begin and
// end means nothing. On it stand a handshake (BEP 3), then messages, each a
// 4-byte length and that many bytes: an id, a payload. Id 20 is the extension
// protocol (BEP 10), one byte more for which extension: 0 is its handshake,
// WireExtension is ours, in which every message is one Frame.

// Numbers of the wire.
const (
	WireHandshakeSize = 68
	WireExtended      = 20 // the id of BEP 10's messages
	// WireExtension is the number that a server gives the extension comntr,
	// always, so that nobody must wait for its handshake to use it.
	WireExtension = 1
	// WireExtensionName is the extension's key in m, and that of the hello.
	WireExtensionName = "comntr"

	// MaxWireRequest is the largest message to a server, MaxWireAnswer the
	// largest from one, after the length: a whole frame with a request's
	// headers, an extended handshake with a hello.
	MaxWireRequest = 20 << 10
	MaxWireAnswer  = 80 << 10
)

// Bounds of HTTP in frames.
const (
	MaxFrameData    = 16 << 10 // bytes in one FrameData
	MaxFrameHeaders = 16 << 10 // bytes of a request's or an answer's dictionary
	MaxFrameFields  = 64       // header fields of one
	MaxFrameBody    = 64 << 10 // bytes of a request's body
	// FrameWindow is how many bytes of body a server may send before it was
	// given more by a FrameCredit.
	FrameWindow = 1 << 20
)

const wireProtocol = "\x13BitTorrent protocol"

// Errors of who speaks another protocol.
var (
	errWire  = errors.New("not the BitTorrent wire protocol")
	errFrame = errors.New("not a frame of comntr")
)

// WireHandshake opens the stream in either direction.
type WireHandshake struct {
	Infohash Hash
	PeerID   [20]byte
	Extended bool // BEP 10 is spoken
}

// Append adds the handshake's 68 bytes to b.
func (h WireHandshake) Append(b []byte) []byte {
	var reserved [8]byte
	if h.Extended {
		reserved[5] |= 0x10
	}
	b = append(append(b, wireProtocol...), reserved[:]...)
	return append(append(b, h.Infohash[:]...), h.PeerID[:]...)
}

// ReadWireHandshake reads a handshake.
func ReadWireHandshake(r io.Reader) (WireHandshake, error) {
	var b [WireHandshakeSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return WireHandshake{}, err
	}
	if string(b[:20]) != wireProtocol {
		return WireHandshake{}, errWire
	}
	return WireHandshake{Infohash: Hash(b[28:48]), PeerID: [20]byte(b[48:]), Extended: b[25]&0x10 != 0}, nil
}

// ReadWireMessage reads a message of at most max bytes into buf, which it may
// replace by a larger one. A keep-alive is a message without bytes; every other
// one begins with its id. What it returns is valid until the next call.
func ReadWireMessage(r io.Reader, buf []byte, max int) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > uint32(max) {
		return nil, fmt.Errorf("a message of %d bytes: at most %d are taken", n, max)
	}
	if uint32(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err := io.ReadFull(r, buf)
	return buf, err
}

// ExtendedHandshake is what we read and write of BEP 10's handshake.
type ExtendedHandshake struct {
	// Extension is the number by which its sender wants comntr's messages, 0
	// if it does not speak it.
	Extension byte
	// Nonce is the asker's: sign your hello for it.
	Nonce []byte
	// Hello and Signature are the server's, for OpenHelloRTC.
	Hello, Signature []byte
}

// Append adds the handshake as a message to b.
func (h ExtendedHandshake) Append(b []byte) []byte {
	ours := bdict{}
	if h.Nonce != nil {
		ours["nonce"] = h.Nonce
	}
	if h.Hello != nil {
		ours["hello"], ours["signature"] = h.Hello, h.Signature
	}
	d := bdict{"m": bdict{WireExtensionName: int(h.Extension)}}
	if len(ours) > 0 {
		d[WireExtensionName] = ours
	}
	start := len(b)
	b = d.append(append(b, 0, 0, 0, 0, WireExtended, 0))
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// ParseExtendedHandshake reads the payload of a message with id 20 and
// extension 0. Other programs' handshakes, which do not speak of comntr, are
// good ones. What it returns are parts of b.
func ParseExtendedHandshake(b []byte) (ExtendedHandshake, error) {
	d, err := parseDict(b)
	if err != nil {
		return ExtendedHandshake{}, err
	}
	n, _ := d.dict("m").int(WireExtensionName)
	if n < 0 || n > 255 {
		return ExtendedHandshake{}, errWire
	}
	h := ExtendedHandshake{Extension: byte(n)}
	ours := d.dict(WireExtensionName)
	h.Nonce, h.Hello, h.Signature = ours.bytes("nonce"), ours.bytes("hello"), ours.bytes("signature")
	if h.Nonce != nil && len(h.Nonce) != 32 {
		return ExtendedHandshake{}, errors.New("the nonce for the hello has not 32 bytes")
	}
	return h, nil
}

// FrameType says what a frame is.
type FrameType byte

// The frames. Each belongs to one request, whose number the asker chose,
// greater than all before on this channel.
const (
	FrameRequest FrameType = iota // asker: a FrameHead with Method, Path, Length
	FrameAnswer                   // server: a FrameHead with Status
	FrameData                     // either: the next bytes of the body
	FrameEnd                      // server: the answer is whole
	FrameCancel                   // either: forget this request; from a server: what came is not the whole answer
	FrameCredit                   // asker: 4 bytes, how much more the server may send
)

// Frame is one message of comntr's extension. Payload is part of what was
// parsed.
type Frame struct {
	Type    FrameType
	Request uint32
	Payload []byte
}

// FrameOverhead is how many bytes stand before a frame's payload on the wire:
// the message's length and id, the extension's number, type, request.
const FrameOverhead = 4 + 1 + 1 + 1 + 4

// Append adds the frame as a message to b, for a peer that gave comntr the
// number extension.
func (f Frame) Append(b []byte, extension byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(FrameOverhead-4+len(f.Payload)))
	b = append(b, WireExtended, extension, byte(f.Type))
	b = binary.BigEndian.AppendUint32(b, f.Request)
	return append(b, f.Payload...)
}

// ParseFrame reads what follows the extension's number in a message.
func ParseFrame(b []byte) (Frame, error) {
	if len(b) < 5 || b[0] > byte(FrameCredit) {
		return Frame{}, errFrame
	}
	f := Frame{FrameType(b[0]), binary.BigEndian.Uint32(b[1:5]), b[5:]}
	ok := true
	switch f.Type {
	case FrameRequest, FrameAnswer:
		ok = len(f.Payload) <= MaxFrameHeaders
	case FrameData:
		ok = len(f.Payload) > 0 && len(f.Payload) <= MaxFrameData
	case FrameEnd, FrameCancel:
		ok = len(f.Payload) == 0
	case FrameCredit:
		ok = len(f.Payload) == 4
	}
	if !ok {
		return Frame{}, errFrame
	}
	return f, nil
}

// FrameHead is the payload of a FrameRequest or a FrameAnswer. Names of header
// fields are in lower case; several values of one are joined by a comma and a
// space, as Fetch does.
type FrameHead struct {
	Method, Path string // of a request
	Length       int    // bytes of body that follow a request, at once
	Status       int    // of an answer
	Header       map[string]string
}

// Append adds the head's encoding to b.
func (h FrameHead) Append(b []byte) []byte {
	fields := bdict{}
	for k, v := range h.Header {
		fields[k] = v
	}
	d := bdict{"headers": fields}
	if h.Status != 0 {
		d["status"] = h.Status
		return d.append(b)
	}
	d["method"], d["path"] = h.Method, h.Path
	if h.Length != 0 {
		d["length"] = h.Length
	}
	return d.append(b)
}

// ParseFrameHead reads the payload of a frame of type t, FrameRequest or
// FrameAnswer.
func ParseFrameHead(t FrameType, b []byte) (FrameHead, error) {
	d, err := parseDict(b)
	if err != nil {
		return FrameHead{}, err
	}
	h := FrameHead{Header: map[string]string{}}
	fields := d.dict("headers")
	if len(fields) > MaxFrameFields {
		return FrameHead{}, errFrame
	}
	for k, v := range fields {
		s, ok := v.([]byte)
		if !ok || !fieldName(k) || strings.ContainsAny(string(s), "\r\n\x00") {
			return FrameHead{}, errFrame
		}
		h.Header[k] = string(s)
	}
	if t == FrameAnswer {
		n, _ := d.int("status")
		if n < 200 || n > 599 {
			return FrameHead{}, errFrame
		}
		h.Status = int(n)
		return h, nil
	}
	h.Method, h.Path = string(d.bytes("method")), string(d.bytes("path"))
	n, _ := d.int("length")
	if !fieldName(strings.ToLower(h.Method)) || !strings.HasPrefix(h.Path, "/") || n < 0 || n > MaxFrameBody {
		return FrameHead{}, errFrame
	}
	h.Length = int(n)
	return h, nil
}

// fieldName reports whether s is a token of RFC 9110, section 5.6.2, in lower
// case.
func fieldName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
