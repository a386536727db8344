package edge

import (
	"golang.org/x/crypto/bcrypt"

	"paas/platform"
)

// Hasher implements platform.Hasher with bcrypt.
type Hasher struct{}

// mostCost is what a hash that somebody brings may cost; each step doubles it.
const mostCost = 14

// Hash implements platform.Hasher.
func (Hasher) Hash(password []byte) (string, error) { return Hash(password) }

// Check implements platform.Hasher.
func (Hasher) Check(hash string) error {
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil {
		return platform.Errorf(platform.Usage, "this is no bcrypt hash; make one with htpasswd -nB NAME")
	}
	if cost > mostCost {
		return platform.Errorf(platform.Usage, "the hash has cost %d: above %d a guess would take the host's processors", cost, mostCost)
	}
	return nil
}
