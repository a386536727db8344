//go:build !race

package gitreceive

const raced = false
