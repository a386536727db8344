// Command paas-init is the first process of every container. See package initproc.
package main

import "paas/runtime/initproc"

func main() { initproc.Main() }
