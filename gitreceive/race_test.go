//go:build race

package gitreceive

// raced: the race detector makes everything ten times as slow.
const raced = true
