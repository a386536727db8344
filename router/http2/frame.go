package http2

import (
	"encoding/binary"
	"fmt"
)

// A frame (RFC 9113, 4.1):
//
//	| length 24 | type 8 | flags 8 | reserved 1, stream 31 | payload …
const (
	frameHead  = 9
	frameSize  = 16384                 // of a payload, at most, both ways: the initial SETTINGS_MAX_FRAME_SIZE, which we never raise
	dataMost   = frameSize - frameHead // of our DATA: with its head it fills a TLS record, and flushAt takes four
	preface    = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	maxWindow  = 1<<31 - 1
	initWindow = 65535 // of streams and connections, before SETTINGS and WINDOW_UPDATE say otherwise
)

// Types of frames (RFC 9113, 6). Others are ignored.
const (
	frameData = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePush
	framePing
	frameGoAway
	frameWindow
	frameContinuation
)

const (
	flagEnd        = 0x1 // END_STREAM
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// Settings (RFC 9113, 6.5.2, and RFC 8441, 3).
const (
	settingTableSize  = 1
	settingPush       = 2
	settingStreams    = 3
	settingWindow     = 4
	settingFrameSize  = 5
	settingHeadSize   = 6
	settingConnect    = 8
	settingBytes      = 6
	largestFrameLimit = 1<<24 - 1
)

// code is an error code (RFC 9113, 7).
type code uint32

const (
	codeNo code = iota
	codeProtocol
	codeInternal
	codeFlow
	codeSettingsTimeout
	codeClosed
	codeSize
	codeRefused
	codeCancel
	codeCompression
	codeConnect
	codeCalm
	codeInsecure
)

// connError ends a connection.
type connError struct {
	code code
	why  string
}

func (e connError) Error() string { return fmt.Sprintf("http2: error %d: %s", e.code, e.why) }

// frame is one frame's head and its payload, which is valid until the next one is read.
type frame struct {
	kind, flags byte
	id          uint32
	payload     []byte
}

func (f *frame) has(flag byte) bool { return f.flags&flag != 0 }

// unpad takes the padding off a DATA or HEADERS frame.
func (f *frame) unpad() ([]byte, error) {
	if !f.has(flagPadded) {
		return f.payload, nil
	}
	if len(f.payload) == 0 {
		return nil, connError{codeSize, "padded frame without a length of its padding"}
	}
	pad := int(f.payload[0])
	if pad >= len(f.payload) {
		return nil, connError{codeProtocol, "padding is longer than its frame"}
	}
	return f.payload[1 : len(f.payload)-pad], nil
}

func appendFrameHead(b []byte, size int, kind, flags byte, id uint32) []byte {
	return append(b, byte(size>>16), byte(size>>8), byte(size), kind, flags, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func sizeOf(head []byte) int { return int(head[0])<<16 | int(head[1])<<8 | int(head[2]) }

func setFrameSize(b []byte, size int) { b[0], b[1], b[2] = byte(size>>16), byte(size>>8), byte(size) }

func appendReset(b []byte, id uint32, why code) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHead(b, 4, frameReset, 0, id), uint32(why))
}

func appendWindow(b []byte, id uint32, more int) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHead(b, 4, frameWindow, 0, id), uint32(more))
}

func appendGoAway(b []byte, last uint32, why code, say string) []byte {
	b = appendFrameHead(b, 8+len(say), frameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(why))
	return append(b, say...)
}

func appendPing(b []byte, flags byte, data []byte) []byte {
	return append(appendFrameHead(b, 8, framePing, flags, 0), data...)
}

func appendSetting(b []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, id), value)
}
