package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PersonView is a user as people see it.
type PersonView struct {
	Name      string    `json:"name"`
	Admin     bool      `json:"admin"`
	Creates   bool      `json:"creates_apps"`
	Keys      []string  `json:"keys"` // fingerprints
	Tokens    []string  `json:"tokens"`
	Apps      []Member  `json:"apps"`
	CreatedAt time.Time `json:"created_at"`
}

// PersonList is users:list.
type PersonList []PersonView

func (v PersonView) may() string {
	switch {
	case v.Admin:
		return "admin"
	case v.Creates:
		return "creates apps"
	default:
		return "member"
	}
}

func (v PersonView) roles() string {
	var words []string
	for _, m := range v.Apps {
		words = append(words, fmt.Sprintf("%s=%s", m.App, m.Role))
	}
	return cmp.Or(strings.Join(words, " "), "-")
}

// Text implements the verbs' output.
func (l PersonList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		rows = append(rows, []string{v.Name, v.may(), strconv.Itoa(len(v.Keys)), strconv.Itoa(len(v.Tokens)), v.roles()})
	}
	return table(w, []string{"NAME", "MAY", "KEYS", "TOKENS", "APPS"}, rows)
}

// Text implements the verbs' output.
func (v PersonView) Text(w io.Writer) error {
	return table(w, nil, [][]string{
		{"name", v.Name}, {"may", v.may()}, {"keys", cmp.Or(strings.Join(v.Keys, " "), "none")},
		{"tokens", cmp.Or(strings.Join(v.Tokens, " "), "none")}, {"apps", v.roles()}, {"created", v.CreatedAt.Format(time.RFC3339)},
	})
}

// ListPeople shows everybody who may come in.
func (p *Platform) ListPeople(ctx context.Context, _ Call, _ struct{}) (PersonList, error) {
	users, err := p.Store.Users(ctx)
	if err != nil {
		return nil, err
	}
	return p.viewUsers(ctx, users)
}

func (p *Platform) viewUsers(ctx context.Context, users []User) (PersonList, error) {
	keys, err := p.Store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := p.Store.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	members, err := p.Store.Members(ctx)
	list := PersonList{}
	for _, u := range users {
		v := PersonView{Name: u.Name, Admin: u.Admin, Creates: u.Admin || u.Creates, Keys: []string{}, Tokens: []string{}, Apps: []Member{}, CreatedAt: u.CreatedAt}
		for _, k := range keys {
			if k.User == u.Name {
				v.Keys = append(v.Keys, k.Fingerprint)
			}
		}
		for _, t := range tokens {
			if t.User == u.Name {
				v.Tokens = append(v.Tokens, t.Name)
			}
		}
		for _, m := range members {
			if m.User == u.Name {
				v.Apps = append(v.Apps, m)
			}
		}
		list = append(list, v)
	}
	return list, err
}

// PersonInput names a user.
type PersonInput struct {
	Name string `arg:"user"`
}

// AddPersonInput is users:add.
type AddPersonInput struct {
	Name    string `arg:"user"`
	Admin   bool   `flag:"admin" help:"may do everything"`
	Creates bool   `flag:"creates-apps" help:"may make apps, which are then theirs"`
}

// AddPerson makes a user, who cannot come in before a key is added.
func (p *Platform) AddPerson(ctx context.Context, call Call, in AddPersonInput) (PersonView, error) {
	if !keyName.MatchString(in.Name) || in.Name == Root {
		return PersonView{}, Errorf(Usage, "%q is not a name for a user: %s", in.Name, nameHint)
	}
	u := User{Name: in.Name, Admin: in.Admin, Creates: in.Creates}
	if err := p.Store.AddUser(ctx, u); err != nil {
		return PersonView{}, withHint(err, "see what it may do: ssh paas users:info %s", in.Name)
	}
	_, _ = fmt.Fprintf(call.Err, "Let a key of %s in: ssh paas keys:add %s < key.pub\n", u.Name, u.Name)
	return p.InfoOfPerson(ctx, call, PersonInput{in.Name})
}

// InfoOfPerson shows one user.
func (p *Platform) InfoOfPerson(ctx context.Context, call Call, in PersonInput) (PersonView, error) {
	if err := selfOrAdmin(call.Actor, in.Name, "other users"); err != nil {
		return PersonView{}, err
	}
	u, err := p.Store.User(ctx, in.Name)
	if err != nil {
		return PersonView{}, p.suggestUser(ctx, call, in.Name, err)
	}
	list, err := p.viewUsers(ctx, []User{u})
	if err != nil {
		return PersonView{}, err
	}
	return list[0], nil
}

// suggestUser tells an admin which name was meant.
func (p *Platform) suggestUser(ctx context.Context, call Call, name string, err error) error {
	users, listErr := p.Store.Users(ctx)
	if listErr != nil || KindOf(err) != NotFound || !call.Actor.Admin {
		return err
	}
	for _, u := range users {
		if Near(name, u.Name) {
			return Errorf(NotFound, "there is no user %q; did you mean %q?", name, u.Name)
		}
	}
	return withHint(err, "see them: ssh paas users:list")
}

// SetPersonInput is users:set.
type SetPersonInput struct {
	Name    string   `arg:"user"`
	Changes []string `arg:"property=on|off" rest:"required" help:"admin=on, creates-apps=off"`
}

// SetPerson changes what a user may do beside roles.
func (p *Platform) SetPerson(ctx context.Context, call Call, in SetPersonInput) (PersonView, error) {
	u, err := p.Store.User(ctx, in.Name)
	if err != nil {
		return PersonView{}, p.suggestUser(ctx, call, in.Name, err)
	}
	if err := u.change(in.Changes); err != nil {
		return PersonView{}, err
	}
	if err := p.Store.SetUser(ctx, u); err != nil {
		return PersonView{}, err
	}
	p.recheck(ctx, call.Actor)
	return p.InfoOfPerson(ctx, call, PersonInput{in.Name})
}

// change reads "admin=on", and Dokku's way of two words as well.
func (u *User) change(words []string) error {
	if len(words) == 2 && !strings.Contains(words[0], "=") {
		words = []string{words[0] + "=" + words[1]}
	}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		on := slices.Contains([]string{"on", "true", "yes"}, value)
		if !on && !slices.Contains([]string{"off", "false", "no"}, value) {
			return Errorf(Usage, "%q is no change: write admin=on or admin=off", word)
		}
		switch key {
		case "admin":
			u.Admin = on
		case "creates-apps", "creates_apps":
			u.Creates = on
		default:
			return Errorf(Usage, "%q cannot be set for a user", key).WithHint("known are admin and creates-apps")
		}
	}
	return nil
}

// RemovePersonInput is users:remove.
type RemovePersonInput struct {
	Name    string `arg:"user"`
	Confirm string `flag:"confirm" value:"USER" help:"the user's name again, instead of being asked"`
}

// RemovePerson removes a user with keys, tokens and roles; their sessions end. What they made stays.
func (p *Platform) RemovePerson(ctx context.Context, call Call, in RemovePersonInput) (Done, error) {
	v, err := p.InfoOfPerson(ctx, call, PersonInput{in.Name})
	if err != nil {
		return Done{}, err
	}
	what := fmt.Sprintf("This removes %s with %d keys, %d tokens and the roles %s", v.Name, len(v.Keys), len(v.Tokens), v.roles())
	if err := confirm(call, in.Name, in.Confirm, what); err != nil {
		return Done{}, err
	}
	if err := p.Store.RemoveUser(ctx, in.Name); err != nil {
		return Done{}, err
	}
	p.recheck(ctx, call.Actor)
	return donef("Removed %s with %d keys, %d tokens and the roles %s.", in.Name, len(v.Keys), len(v.Tokens), v.roles()), nil
}
