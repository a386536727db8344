package platform

import "slices"

// Plus counts both.
func (c RequestCounts) Plus(o RequestCounts) RequestCounts {
	c.Requests += o.Requests
	c.InFlight += o.InFlight
	c.Bytes += o.Bytes
	c.Cut += o.Cut
	for i := range c.Status {
		c.Status[i] += o.Status[i]
	}
	for i := range c.Latency {
		c.Latency[i] += o.Latency[i]
	}
	return c
}

// Plus is what two carriers of an app's requests have counted.
func (s RequestStats) Plus(o RequestStats) RequestStats {
	sum := RequestStats{RequestCounts: s.RequestCounts.Plus(o.RequestCounts), Instances: map[InstanceID]RequestCounts{}, Waiting: s.Waiting + o.Waiting}
	for _, one := range []RequestStats{s, o} {
		for id, c := range one.Instances {
			sum.Instances[id] = sum.Instances[id].Plus(c)
		}
		for _, id := range one.Resting {
			if !slices.Contains(sum.Resting, id) {
				sum.Resting = append(sum.Resting, id)
			}
		}
	}
	return sum
}
