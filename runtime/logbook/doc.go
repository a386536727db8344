// Package logbook keeps what is written for and about apps: each app's lines in one time line, compressed, and bounded
// by age and size.
//
//	an instance's init ──► ring (two files of bounded size, package ring) ──┐
//	the router ──────────► ring                                             ├─► collector ─► head ─► segments
//	builds, events ─────────────────────────────────────────────────────────┘
//
// Whoever writes never waits: an init writes into its ring, whose oldest records make room. The collector is woken by
// the kernel (inotify(7)) when a ring has grown; nothing is polled, and an idle app costs a watch and nothing else.
//
// On the disk, <dir>/<app>/ holds
//
//	head                 frames: what was collected last
//	<number in hex>.seg  blocks: older lines, compressed; the name is the number of the first line
//	cursor-<name>        how far a reader that shall survive the daemon has come (a drain)
//
// A frame of the head holds lines and how far the rings they came from were read by then, so that both are there or
// neither is: after a crash no line is there twice and none is lost. When the head is full its lines become a block, which is
// on the disk before a new head takes the old one's place by rename; lines of a head that are in a block already are
// passed over. Numbers, little endian:
//
//	frame   size uint32 | CRC-32C uint32 | first line's number, ring positions, lines
//	block   magic uint32 | CRC-32C uint32 of the rest of the header and the index | index size uint32 |
//	        payload size uint32 | lines size uint32 | lines uint32 | first line's number uint64 |
//	        earliest and latest time int64 each, in microseconds since 1970 | index | payload (zstd, with checksum)
//	index   who wrote the lines, levels, and a Bloom filter of the trigrams in their texts
//
// What a power cut leaves torn is passed over: a block says where it ends and whether it is whole.
package logbook
