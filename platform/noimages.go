package platform

import (
	"context"
	"errors"
)

// noImages is for a Platform over rooms that keep no images: everything is there and nothing takes room.
type noImages struct{}

var errNoImages = errors.New("this platform keeps no images")

func (noImages) Hold([]string) (func(), error) { return func() {}, nil }
func (noImages) Kept([]string) bool            { return true }
func (noImages) Usage() ([]LayerUsage, error)  { return nil, errNoImages }
func (noImages) Space() (Space, error)         { return Space{}, errNoImages }
func (noImages) Room() error                   { return nil }
func (noImages) Report() []string              { return nil }
func (noImages) Shrink(context.Context, []App, map[string]bool, Goal) (Shrunk, error) {
	return Shrunk{}, errNoImages
}
func (noImages) Explore(context.Context, []string, string) (Contents, error) {
	return Contents{}, errNoImages
}
func (noImages) Disk(context.Context, []App) ([]DiskUse, error) { return nil, errNoImages }
