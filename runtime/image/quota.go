package image

import "paas/runtime/quota"

// Quota tells whether the store's file system can bound what a container writes, and if not why, as the
// end of a sentence.
func (s *Store) Quota() (supported bool, why string) { return quota.Probe(s.dir) }
