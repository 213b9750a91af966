//go:build linux

package main

/*
#include <malloc.h>

// Pebble's blocks and memtables are C's where there is cgo. glibc gives each thread
// a heap of its own, and each keeps what was once as large as it got: together
// twice what is in use. This is heeded only before the first thread is made. Large
// pieces go back to the system when they are freed.
__attribute__((constructor)) static void keepLittle(void) {
#ifdef __GLIBC__
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
}
*/
import "C"
