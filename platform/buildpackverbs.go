package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Planner decides how source is built without building it.
type Planner interface {
	// Plan finds out how the source would be built. Nothing of it is run and nothing is fetched. What the
	// pusher can mend is an *Error of kind Failed.
	Plan(ctx context.Context, req BuildRequest) (Planned, error)
	// Buildpack tells what a buildpack's name or URL means here. One without meaning is an *Error of kind
	// Usage.
	Buildpack(name string) (Buildpack, error)
}

// Buildpack is what a buildpack's name means.
type Buildpack struct {
	Name  string `json:"name"`            // as it was written
	Ours  string `json:"ours,omitempty"`  // the language of our own that takes its place: "nodejs"
	URL   string `json:"url,omitempty"`   // the git repository that is fetched otherwise
	Ref   string `json:"ref,omitempty"`   // branch, tag or commit; empty: what the repository says
	Spare bool   `json:"spare,omitempty"` // nothing is left to do for it here
}

// Planned is how a source would be built.
type Planned struct {
	Builder   string                 `json:"builder"`   // "nodejs"
	Title     string                 `json:"title"`     // "Node.js app detected (package.json)"
	Detected  string                 `json:"detected"`  // the file, or the setting, that decided
	Processes map[ProcessType]string `json:"processes"` // those that are known before the build
	Notes     []string               `json:"notes,omitempty"`
	Warnings  []string               `json:"warnings,omitempty"`
}

// maxBuildpacks is how many an app may have.
const maxBuildpacks = 20

// BuildpackList is an app's buildpacks in their order.
type BuildpackList struct {
	App        AppName     `json:"app"`
	Buildpacks []Buildpack `json:"buildpacks"`
}

// Text implements the verbs' output.
func (l BuildpackList) Text(w io.Writer) error {
	if len(l.Buildpacks) == 0 {
		_, err := fmt.Fprintf(w, "%s has no buildpacks set: its source decides.\n", l.App)
		return err
	}
	var rows [][]string
	for i, b := range l.Buildpacks {
		rows = append(rows, []string{strconv.Itoa(i + 1), b.Name, b.meaning()})
	}
	return table(w, nil, rows)
}

func (b Buildpack) meaning() string {
	switch {
	case b.Spare:
		return "nothing to do here"
	case b.Ours != "":
		return "our own: " + b.Ours
	case b.Ref != "":
		return b.URL + " at " + b.Ref
	}
	return b.URL
}

// AddBuildpackInput is buildpacks:add.
type AddBuildpackInput struct {
	App       string `arg:"app"`
	Buildpack string `arg:"buildpack" help:"a name such as heroku/nodejs, or a git URL, maybe with #branch"`
	Index     int    `flag:"index" short:"i" value:"N" help:"its place, from 1; without it the last"`
}

// AddBuildpack puts a buildpack among those of an app.
func (p *Platform) AddBuildpack(ctx context.Context, call Call, in AddBuildpackInput) (BuildpackList, error) {
	return p.changeBuildpacks(ctx, call, in.App, func(list []string) ([]string, error) {
		if slices.Contains(list, in.Buildpack) {
			return nil, Errorf(Conflict, "%s has the buildpack %s already", in.App, in.Buildpack)
		}
		at, err := place(in.Index, len(list)+1, len(list)+1)
		if err != nil {
			return nil, err
		}
		return slices.Insert(list, at-1, in.Buildpack), nil
	})
}

// place is the index that was asked for, from 1.
func place(index, usual, most int) (int, error) {
	index = cmp.Or(index, usual)
	if index < 1 || index > most {
		return 0, Errorf(Usage, "there is no place %d: write --index from 1 to %d", index, most)
	}
	return index, nil
}

// SetBuildpacksInput is buildpacks:set.
type SetBuildpacksInput struct {
	App        string   `arg:"app"`
	Buildpacks []string `arg:"buildpack" rest:"required" help:"a name such as heroku/nodejs, or a git URL, maybe with #branch"`
	Index      int      `flag:"index" short:"i" value:"N" help:"the place to change, from 1; without it the first"`
	Replace    bool     `flag:"replace" help:"these instead of all that are set"`
}

// SetBuildpacks changes the buildpack at one place, or all of them when several are given.
func (p *Platform) SetBuildpacks(ctx context.Context, call Call, in SetBuildpacksInput) (BuildpackList, error) {
	return p.changeBuildpacks(ctx, call, in.App, func(list []string) ([]string, error) {
		if in.Replace || len(in.Buildpacks) > 1 && in.Index == 0 {
			return in.Buildpacks, nil
		}
		if len(in.Buildpacks) > 1 {
			return nil, Errorf(Usage, "--index takes one buildpack")
		}
		at, err := place(in.Index, 1, len(list)+1)
		if err != nil {
			return nil, err
		}
		if at > len(list) {
			return append(list, in.Buildpacks[0]), nil
		}
		list[at-1] = in.Buildpacks[0]
		return list, nil
	})
}

// RemoveBuildpackInput is buildpacks:remove.
type RemoveBuildpackInput struct {
	App       string `arg:"app"`
	Buildpack string `arg:"buildpack" optional:"true"`
	Index     int    `flag:"index" short:"i" value:"N" help:"its place, from 1, instead of its name"`
}

// RemoveBuildpack takes a buildpack away from an app.
func (p *Platform) RemoveBuildpack(ctx context.Context, call Call, in RemoveBuildpackInput) (BuildpackList, error) {
	return p.changeBuildpacks(ctx, call, in.App, func(list []string) ([]string, error) {
		at := slices.Index(list, in.Buildpack) + 1
		if in.Index > 0 && in.Index <= len(list) {
			at = in.Index
		}
		if at == 0 || in.Index > len(list) {
			return nil, Errorf(NotFound, "%s has no such buildpack", in.App).WithHint("see them: ssh paas buildpacks:list %s", in.App)
		}
		return slices.Delete(list, at-1, at), nil
	})
}

// ClearBuildpacks takes all buildpacks away: the source decides again.
func (p *Platform) ClearBuildpacks(ctx context.Context, call Call, in AppInput) (BuildpackList, error) {
	return p.changeBuildpacks(ctx, call, in.App, func([]string) ([]string, error) { return nil, nil })
}

// Buildpacks lists those that are set.
func (p *Platform) Buildpacks(ctx context.Context, _ Call, in AppInput) (BuildpackList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return BuildpackList{}, err
	}
	choice, err := p.buildChoice(ctx, app.Name)
	if err != nil {
		return BuildpackList{}, err
	}
	return p.buildpackList(app, choice.Buildpacks)
}

func (p *Platform) buildpackList(app App, names []string) (BuildpackList, error) {
	l := BuildpackList{App: app.Name, Buildpacks: []Buildpack{}}
	for _, name := range names {
		b, err := p.Planner.Buildpack(name)
		if err != nil {
			return l, err
		}
		l.Buildpacks = append(l.Buildpacks, b)
	}
	return l, nil
}

// changeBuildpacks changes the list after every name in it was understood.
func (p *Platform) changeBuildpacks(ctx context.Context, call Call, name string, change func([]string) ([]string, error)) (BuildpackList, error) {
	app, err := p.find(ctx, name)
	if err != nil {
		return BuildpackList{}, err
	}
	choice, err := p.buildChoice(ctx, app.Name)
	if err != nil {
		return BuildpackList{}, err
	}
	list, err := change(slices.Clone(choice.Buildpacks))
	if err != nil {
		return BuildpackList{}, err
	}
	if len(list) > maxBuildpacks {
		return BuildpackList{}, Errorf(Usage, "an app has %d buildpacks at most", maxBuildpacks)
	}
	for _, word := range list {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			return BuildpackList{}, Errorf(Usage, "%q is no buildpack", word)
		}
	}
	view, err := p.buildpackList(app, list)
	if err != nil {
		return view, err
	}
	return view, p.changeBuild(ctx, call, app, []Setting{{Topic: BuilderTopic, Key: buildpacksKey, Value: strings.Join(list, " ")}})
}

// DetectInput is buildpacks:detect.
type DetectInput struct {
	App    string `arg:"app"`
	Branch string `arg:"branch" optional:"true" help:"without it what was deployed last"`
}

// Detection is what buildpacks:detect finds out.
type Detection struct {
	App    AppName `json:"app"`
	Commit string  `json:"commit"`
	Planned
}

// Text implements the verbs' output.
func (d Detection) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", shortCommit(d.Commit), d.Title)
	for _, line := range slices.Concat(d.Notes, d.Warnings) {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	for _, t := range slices.Sorted(maps.Keys(d.Processes)) {
		fmt.Fprintf(&b, "  %s: %s\n", t, d.Processes[t])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// DetectBuildpacks tells how the app's source would be built by the next push or ps:rebuild.
func (p *Platform) DetectBuildpacks(ctx context.Context, _ Call, in DetectInput) (Detection, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Detection{}, err
	}
	src, err := p.Repositories.Source(ctx, app, in.Branch)
	if err != nil {
		return Detection{}, err
	}
	defer src.Close()
	req, err := p.buildRequest(ctx, app, src)
	if err != nil {
		return Detection{}, err
	}
	planned, err := p.Planner.Plan(ctx, req)
	return Detection{App: app.Name, Commit: src.Commit, Planned: planned}, err
}
