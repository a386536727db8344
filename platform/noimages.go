package platform

import (
	"context"
	"errors"
	"math"
	"time"
)

// noImages is for a Platform over rooms that keep no images: everything is there and nothing takes room.
type noImages struct{}

var errNoImages = errors.New("this platform keeps no images")

func (noImages) Hold([]string) (func(), error) { return func() {}, nil }
func (noImages) Kept([]string) bool            { return true }
func (noImages) Durable([]string) error        { return nil }
func (noImages) Usage() ([]LayerUsage, error)  { return nil, errNoImages }
func (noImages) Space() (Space, error)         { return Space{}, errNoImages }
func (noImages) Room() error                   { return nil }
func (noImages) Report() []string              { return nil }
func (noImages) Left() (int64, error)          { return math.MaxInt64, nil }
func (noImages) Expected(App) int64            { return 0 }
func (noImages) Estimate(context.Context, BuildRequest) (int64, string, error) {
	return 0, "", nil
}
func (noImages) Pieces(context.Context, []App) ([]Piece, error) {
	return nil, errNoImages
}
func (noImages) Remove(context.Context, []Piece, time.Duration) ([]Piece, error) {
	return nil, errNoImages
}
func (noImages) Tidy(context.Context, []App, map[string]bool) error { return nil }
func (noImages) Explore(context.Context, []string, string) (Contents, error) {
	return Contents{}, errNoImages
}
func (noImages) Disk(context.Context, []App) ([]DiskUse, error) { return nil, errNoImages }
