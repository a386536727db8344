package dockerfile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/mount"
	bkexecutor "github.com/moby/buildkit/executor"
	resources "github.com/moby/buildkit/executor/resources/types"
	gatewaypb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/sys/user"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
)

// executor implements BuildKit's Executor: it describes each step's container to the daemon, which runs it.
type executor struct{ builder *builder }

// Exec implements BuildKit's Executor. Only interactive clients use it, of which there are none.
func (*executor) Exec(context.Context, string, bkexecutor.ProcessInfo) error {
	return errors.New("exec into a build step is not supported")
}

// Run implements BuildKit's Executor.
func (e *executor) Run(ctx context.Context, _ string, root bkexecutor.Mount, mounts []bkexecutor.Mount, process bkexecutor.ProcessInfo, started chan<- struct{}) (resources.Recorder, error) {
	if started != nil {
		defer close(started)
	}
	j, ok := ctx.Value(behalfKey{}).(*job)
	if !ok {
		return nil, errors.New("run a step on nobody's behalf")
	}
	if err := refuseMeta(process.Meta); err != nil {
		return nil, err
	}
	var held releases
	defer held.release()
	spec, err := e.spec(ctx, &held, root, process.Meta)
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		add, err := e.mount(ctx, &held, m)
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.Dest, err)
		}
		spec.Mounts = append(spec.Mounts, add)
	}
	spec.AppID = j.req.App
	return nil, e.run(ctx, wire.Step{Build: j.req.ID, Spec: spec}, process)
}

func refuseMeta(m bkexecutor.Meta) error {
	switch {
	case m.SecurityMode == pb.SecurityMode_INSECURE:
		return platform.Errorf(platform.Denied, "RUN --security=insecure is not possible here: no build step gets the host's rights").
			WithHint("remove --security=insecure")
	case m.NetMode == pb.NetMode_HOST:
		return platform.Errorf(platform.Denied, "RUN --network=host is not possible here: no build step sees the host's network").
			WithHint("remove --network=host: the step has a network of its own")
	case len(m.CDIDevices) > 0:
		return platform.Errorf(platform.Denied, "RUN --device is not possible here: no build step gets the host's devices")
	}
	return nil
}

// releases is what must be given back when a step has ended.
type releases []func() error

func (r *releases) add(f func() error) {
	if f != nil {
		*r = append(*r, f)
	}
}

func (r releases) release() {
	for _, f := range slices.Backward(r) {
		_ = f()
	}
}

func mountsOf(ctx context.Context, held *releases, m bkexecutor.Mount) ([]mount.Mount, error) {
	ref, err := m.Src.Mount(ctx, m.Readonly)
	if err != nil {
		return nil, err
	}
	mounts, release, err := described(ref)
	held.add(release)
	return mounts, err
}

// spec is the container without its mounts.
func (e *executor) spec(ctx context.Context, held *releases, root bkexecutor.Mount, meta bkexecutor.Meta) (platform.StepSpec, error) {
	spec := platform.StepSpec{
		Name: "build", Argv: meta.Args, Env: map[string]string{}, Dir: meta.Cwd, Exact: true, Offline: meta.NetMode == pb.NetMode_NONE,
	}
	mounts, err := mountsOf(ctx, held, root)
	if err != nil {
		return spec, err
	}
	v, err := viewOf(mounts)
	if err != nil {
		return spec, err
	}
	if !e.builder.shelf.holds(v.upper) {
		return spec, fmt.Errorf("a step without a layer of its own: %v", mounts)
	}
	spec.Upper = v.upper
	if spec.Layers, err = e.names(v.lowers); err != nil {
		return spec, err
	}
	for _, entry := range meta.Env {
		key, value, _ := strings.Cut(entry, "=")
		spec.Env[key] = value
	}
	return spec, e.user(&spec, meta.User)
}

// names are the layers that directories are, which all lie in the store.
func (e *executor) names(dirs []string) (layers []string, err error) {
	for _, dir := range dirs {
		layer := filepath.Base(dir)
		if !e.builder.Store.Has(layer) || e.builder.Store.Dir(layer) != dir {
			return nil, fmt.Errorf("%s is no layer of the store", dir)
		}
		layers = append(layers, layer)
	}
	return layers, nil
}

// maxUsers is how much of a passwd or group file is read, in bytes.
const maxUsers = 4 << 20

// user resolves USER as Docker does: names and numbers, maybe with a group, supplementary groups from
// group(5), the home directory from passwd(5) unless the environment has one.
func (e *executor) user(spec *platform.StepSpec, name string) error {
	passwd, err := e.read(spec.Layers, "/etc/passwd")
	if err != nil {
		return err
	}
	group, err := e.read(spec.Layers, "/etc/group")
	if err != nil {
		return err
	}
	found, err := user.GetExecUser(name, &user.ExecUser{Home: "/"}, bytes.NewReader(passwd), bytes.NewReader(group))
	if err != nil {
		return platform.Errorf(platform.Failed, "USER %s: %v", name, err).
			WithHint("make the user in a RUN instruction before, or name it by its number")
	}
	spec.UID, spec.GID = uint32(found.Uid), uint32(found.Gid)
	for _, id := range found.Sgids {
		spec.Groups = append(spec.Groups, uint32(id))
	}
	if spec.Env["HOME"] == "" {
		spec.Env["HOME"] = found.Home
	}
	return nil
}

func (e *executor) read(layers []string, path string) ([]byte, error) {
	if len(layers) == 0 {
		return nil, nil
	}
	text, err := e.builder.Store.ReadFile(layers, path, maxUsers)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	return text, err
}

// mount describes one --mount.
func (e *executor) mount(ctx context.Context, held *releases, m bkexecutor.Mount) (platform.StepMount, error) {
	out := platform.StepMount{Target: m.Dest, ReadOnly: m.Readonly}
	if !filepath.IsAbs(out.Target) {
		out.Target = "/" + out.Target
	}
	if m.Src == nil {
		return out, errors.New("it has no source")
	}
	mounts, err := mountsOf(ctx, held, m)
	if err != nil {
		return out, err
	}
	if len(mounts) == 1 && mounts[0].Type == "tmpfs" {
		out.Memory = memoryOf(mounts[0].Options)
		return out, nil
	}
	if len(mounts) == 1 && mounts[0].Type == "bind" && isSocket(mounts[0].Source) {
		out.Socket = mounts[0].Source
		return out, nil
	}
	if len(mounts) == 1 && mounts[0].Type == "bind" && isRegular(mounts[0].Source) {
		return out, secretFile(&out, mounts[0].Source)
	}
	v, err := viewOf(mounts)
	if err != nil {
		return out, err
	}
	if m.Selector != "" && filepath.Clean(m.Selector) != "/" {
		out.Sub = filepath.Join("/", m.Selector)
	}
	out.Upper = v.upper
	if n := len(v.lowers); n > 0 && v.upper == "" && isActive(v.lowers[n-1]) { // a snapshot that is not committed yet
		return e.readActive(out, v)
	}
	out.Layers, err = e.names(v.lowers)
	return out, err
}

// readActive shows what a snapshot holds that may still be written to by nobody: BuildKit commits it later.
func (e *executor) readActive(out platform.StepMount, v view) (platform.StepMount, error) {
	n := len(v.lowers) - 1
	layers, err := e.names(v.lowers[:n])
	if err != nil {
		return out, err
	}
	out.Layers, out.Upper, out.ReadOnly = layers, v.lowers[n], true
	return out, nil
}

// secretFile takes the content of a secret out of the memory that BuildKit keeps it in, which only this
// process sees.
func secretFile(out *platform.StepMount, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	out.File, err = os.ReadFile(path)
	if out.File == nil {
		out.File = []byte{}
	}
	st := info.Sys().(*syscall.Stat_t)
	out.UID, out.GID, out.Mode, out.ReadOnly = st.Uid, st.Gid, info.Mode().Perm(), true
	return err
}

// defaultMemory bounds a tmpfs that says nothing; what is in it counts against the step's memory.
const defaultMemory = 1 << 30

func memoryOf(options []string) int64 {
	for _, o := range options {
		if text, ok := strings.CutPrefix(o, "size="); ok {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
				return n
			}
		}
	}
	return defaultMemory
}

// run has the daemon run the step and passes its output on.
func (e *executor) run(ctx context.Context, step wire.Step, process bkexecutor.ProcessInfo) error {
	body, err := e.builder.call(ctx, wire.PathStep, step)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	events := json.NewDecoder(body)
	for {
		var event wire.StepEvent
		if err := events.Decode(&event); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("run a step: %w", err)
		}
		switch {
		case event.Failed != nil:
			return event.Failed.Err()
		case event.Exit != nil:
			return exitError(*event.Exit, process.Meta.ValidExitCodes)
		}
		if process.Stdout != nil {
			_, _ = process.Stdout.Write(event.Out) // BuildKit clips what is too much
		}
	}
}

func exitError(exit platform.Exit, valid []int) error {
	if len(valid) == 0 {
		valid = []int{0}
	}
	if slices.Contains(valid, exit.Code) {
		return nil
	}
	code := uint32(min(max(exit.Code, 0), math.MaxInt32))
	return &gatewaypb.ExitError{ExitCode: code, Err: fmt.Errorf("exit code %d", exit.Code)}
}
