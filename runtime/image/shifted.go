package image

func (s *Store) reduce(why string) error { s.reduced = why; return nil }
func (s *Store) sweepShifted() error     { return nil }
