#include "textflag.h"

// func int80(nr uintptr) uintptr
// The entry of 32-bit programs; arguments are left as they are.
TEXT ·int80(SB), NOSPLIT, $0-16
	MOVQ nr+0(FP), AX
	BYTE $0xcd; BYTE $0x80
	MOVQ AX, ret+8(FP)
	RET
