package buildpacks

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
)

func goarch() string { return runtime.GOARCH }

// dockerConfig is an image's configuration with what Docker adds to OCI's (moby/docker-image-spec, spec.md).
type dockerConfig struct {
	ocispec.Image
	Config struct {
		ocispec.ImageConfig
		Healthcheck *healthcheck
		Shell       []string
	} `json:"config"`
}

type healthcheck struct {
	Test                                          []string
	Interval, Timeout, StartPeriod, StartInterval time.Duration
	Retries                                       int
}

// dockerImage makes our image of a built one: ENTRYPOINT and CMD are the process type web unless a Procfile says
// otherwise, whose lines are arguments of an ENTRYPOINT; EXPOSE is where it listens, HEALTHCHECK is its check unless
// app.json has one.
func (b *build) dockerImage(r wire.Result) (platform.Image, error) {
	var config dockerConfig
	if err := json.Unmarshal(r.Config, &config); err != nil {
		return platform.Image{}, fmt.Errorf("read the image's configuration: %w", err)
	}
	if len(r.Layers) == 0 {
		return platform.Image{}, platform.Errorf(platform.Failed, "the image that %s makes is empty", b.plan.Dockerfile).
			WithHint("COPY something into its last stage")
	}
	plain := config.Image
	plain.Config = config.Config.ImageConfig
	img, err := b.Docker.Describe(r.Layers, plain)
	if err != nil {
		return img, err
	}
	if err := b.dressDocker(&img, config); err != nil {
		return img, err
	}
	if img.Inherit, err = passedOn(r.Config); err != nil {
		return img, err
	}
	return named(img)
}

// passedOn is the part of an image's configuration that a Dockerfile upon it starts with.
func passedOn(config json.RawMessage) (json.RawMessage, error) {
	var whole struct {
		Config json.RawMessage `json:"config"`
	}
	err := json.Unmarshal(config, &whole)
	return whole.Config, err
}

func (b *build) dressDocker(img *platform.Image, config dockerConfig) error {
	c := config.Config
	if len(c.Shell) > 0 {
		img.Shell = c.Shell
	}
	img.Labels, img.Volumes = c.Labels, slices.Sorted(maps.Keys(c.Volumes))
	img.Builder = b.plan.Builder
	b.declare(img)
	if len(b.plan.Processes) > 0 || b.plan.Scripts != (platform.Scripts{}) {
		img.Entrypoint = c.Entrypoint
	}
	for name, command := range b.plan.Processes {
		if len(img.Shell) == 0 && len(c.Entrypoint) == 0 {
			return platform.Errorf(platform.Failed, "the Procfile's %s cannot be started: the image has no shell", name).
				WithHint("remove the line, and write the command as ENTRYPOINT or CMD, or use a base image with /bin/sh")
		}
		img.Processes[name] = command
		delete(img.Commands, name)
	}
	if len(img.Processes) == 0 {
		return platform.Errorf(platform.Failed, "nothing says what to start: the image has neither ENTRYPOINT nor CMD, and there is no Procfile").
			WithHint(`add a line such as CMD ["./server"] to the %s`, b.plan.Dockerfile)
	}
	img.Checks = maps.Clone(b.plan.Checks)
	if check, ok := c.Healthcheck.check(img.Shell); ok && len(img.Checks[platform.Web]) == 0 {
		if img.Checks == nil {
			img.Checks = map[platform.ProcessType][]platform.Check{}
		}
		img.Checks[platform.Web] = []platform.Check{check}
	}
	for _, v := range img.Volumes {
		b.req.Story.Line("VOLUME %s: what is written there is gone with the instance, as everything else is", v)
	}
	return nil
}

// What HEALTHCHECK means when it does not say (Dockerfile reference, "HEALTHCHECK"). Its interval is how often
// a running container is looked at; a starting one is asked as often as its start interval says.
const (
	healthTimeout       = 30 * time.Second
	healthStartInterval = 5 * time.Second
	healthRetries       = 3
)

// check is the startup check that a HEALTHCHECK amounts to.
func (h *healthcheck) check(shell []string) (platform.Check, bool) {
	c := platform.Check{Name: "HEALTHCHECK", Timeout: healthTimeout, Wait: healthStartInterval}
	if h == nil || len(h.Test) < 2 {
		return c, false
	}
	switch h.Test[0] {
	case "CMD":
		c.Command = h.Test[1:]
	case "CMD-SHELL":
		if len(shell) == 0 {
			shell = []string{"/bin/sh", "-c"}
		}
		c.Command = append(slices.Clone(shell), strings.Join(h.Test[1:], " "))
	default: // NONE
		return c, false
	}
	if h.Timeout > 0 {
		c.Timeout = h.Timeout
	}
	if h.StartInterval > 0 {
		c.Wait = h.StartInterval
	} else if h.Interval > 0 {
		c.Wait = min(h.Interval, healthStartInterval)
	}
	c.Attempts = healthRetries
	if h.Retries > 0 {
		c.Attempts = h.Retries
	}
	c.Attempts += int(h.StartPeriod / max(c.Wait, time.Second)) // failures in it do not count
	return c, true
}
