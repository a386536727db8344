package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"paas/platform"
	"paas/runtime/quota"
)

// stepQuota bounds what a step writes by project quotas, where the file system keeps them: each directory that the
// step may write to is a project of its own, whose limit is what it takes at the beginning and what the step may
// write. So no directory ever gets more than that, at once and without a look; that all of them together do not, the
// looks find out, which the kernel's counts make exact and free. A cache stays in its project for the next step.
type stepQuota struct {
	limit    int64 // bytes
	projects []stepProject
}

type stepProject struct {
	dir    string
	id     quota.Project
	before int64 // bytes that it took at the beginning
}

// quotaSlack is how near to its limit a project counts as full, in bytes: a write that would pass it is refused whole.
const quotaSlack = 64 << 10

// boundStep is nil where the file system keeps no projects: then the files are looked at. Nobody else writes to the
// step's directories yet.
func boundStep(s platform.StepSpec) (*stepQuota, error) {
	if able, _ := quota.Probe(filepath.Dir(s.Upper)); !able || s.Limits.Disk <= 0 {
		return nil, nil
	}
	q := &stepQuota{limit: s.Limits.Disk}
	err := q.overlay(s.Upper)
	for _, dir := range writable(s) {
		if err == nil {
			err = q.add(dir)
		}
	}
	for _, m := range s.Mounts {
		if err == nil && m.Upper != "" && len(m.Layers) > 0 && !m.ReadOnly {
			err = q.overlay(m.Upper)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bound the disk of a step: %w", err), q.lift())
	}
	return q, nil
}

// writable are the directories of the host that a step sees as they are and may write to.
func writable(s platform.StepSpec) (dirs []string) {
	add := func(dir string) {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			dirs = append(dirs, dir)
		}
	}
	for _, b := range s.Binds {
		if !b.ReadOnly {
			add(b.Source)
		}
	}
	for _, m := range s.Mounts {
		if m.Upper != "" && len(m.Layers) == 0 && !m.ReadOnly {
			add(m.Upper)
		}
	}
	return dirs
}

// overlay bounds an overlay's writes. Its work directory is of the same project: the kernel renames files from there,
// and no file is renamed from one project to another.
func (q *stepQuota) overlay(upper string) error {
	if info, err := os.Stat(upper); err != nil || !info.IsDir() {
		return err
	}
	work := filepath.Join(filepath.Dir(upper), "work")
	if !exists(work) {
		if err := os.Mkdir(work, 0o755); err != nil {
			return err
		}
	}
	return q.add(upper, work)
}

// add makes directories one project, known by the first, and bounds it.
func (q *stepQuota) add(dir string, further ...string) error {
	id, err := quota.Of(dir)
	for _, d := range append([]string{dir}, further...) {
		if err == nil {
			err = q.join(d, id)
		}
	}
	if err != nil {
		return err
	}
	used, err := quota.Used(dir, id)
	if err != nil {
		return err
	}
	q.projects = append(q.projects, stepProject{dir, id, used.Bytes})
	return quota.Change(dir, id, quota.Limits{Bytes: used.Bytes + q.limit})
}

// join puts all of a directory into the project, unless it is there already. That lifts the project's limit.
func (q *stepQuota) join(dir string, id quota.Project) error {
	if now, in := quota.In(dir); in && now == id {
		return nil
	}
	return quota.Set(dir, id, quota.Limits{})
}

// wrote is how much more the projects take than at the beginning, and whether that is all that one of them, or all
// together, may.
func (q *stepQuota) wrote() (bytes int64, full bool) {
	for _, p := range q.projects {
		used, err := quota.Used(filepath.Dir(p.dir), p.id)
		if err != nil {
			continue // nothing is in it any more
		}
		more := used.Bytes - p.before
		bytes += more
		full = full || more > q.limit-quotaSlack
	}
	return bytes, full || bytes > q.limit
}

// lift takes the limits away: what the step wrote is a layer now, and the cache is the next one's.
func (q *stepQuota) lift() error {
	if q == nil {
		return nil
	}
	var errs []error
	for _, p := range q.projects {
		errs = append(errs, quota.Clear(filepath.Dir(p.dir), p.id))
	}
	return errors.Join(errs...)
}
