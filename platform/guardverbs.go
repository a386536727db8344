package platform

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// UserInput is auth:add.
type UserInput struct {
	App  string `arg:"app"`
	User string `arg:"user"`
	Hash string `flag:"hash" value:"BCRYPT" help:"its hash as htpasswd -B writes it, instead of the password on stdin"`
}

// UserKey is auth:remove.
type UserKey struct {
	App  string `arg:"app"`
	User string `arg:"user"`
}

// UserList is who may ask an app.
type UserList struct {
	App   AppName  `json:"app"`
	Users []string `json:"users"` // empty: everybody
}

// Text implements the verbs' output.
func (l UserList) Text(w io.Writer) error {
	var rows [][]string
	for _, u := range l.Users {
		rows = append(rows, []string{u})
	}
	return table(w, nil, rows)
}

const mostPassword = 4 << 10 // bytes read for one

// AddUser lets only those in who know a password: this one, and the others that were added.
func (p *Platform) AddUser(ctx context.Context, call Call, in UserInput) (UserList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return UserList{}, err
	}
	if in.User == "" || len(in.User) > 100 || strings.ContainsFunc(in.User, func(r rune) bool { return r == ':' || unicode.IsControl(r) }) {
		return UserList{}, Errorf(Usage, "%q is not a name that a browser could send: it has up to 100 bytes and no colon", in.User)
	}
	hash, err := p.hashed(call, in)
	if err != nil {
		return UserList{}, err
	}
	if err := p.changeRules(ctx, call, app, in.User+" may ask, with a password", EdgeRule{UserRule, in.User, hash}); err != nil {
		return UserList{}, err
	}
	return p.Users(ctx, call, AppInput{App: in.App})
}

func (p *Platform) hashed(call Call, in UserInput) (string, error) {
	switch {
	case p.Hasher == nil:
		return "", Errorf(Failed, "this paas cannot hash passwords")
	case in.Hash != "":
		return in.Hash, p.Hasher.Check(in.Hash)
	}
	password, err := readSecret(call)
	if err != nil {
		return "", err
	}
	return p.Hasher.Hash(password)
}

// readSecret reads one line of stdin, from a terminal without echo.
func readSecret(call Call) ([]byte, error) {
	missing := Errorf(Usage, "the password is missing").WithHint("give it on stdin: ssh paas auth:add blog alice < password")
	if call.In == nil {
		return nil, missing
	}
	if call.Terminal != nil {
		_, _ = io.WriteString(call.Err, "Password: ")
		line, err := readTyped(call.In, io.Discard)
		_, _ = io.WriteString(call.Err, "\r\n")
		if err == nil && line == "" {
			return nil, missing
		}
		return []byte(line), err
	}
	text, err := io.ReadAll(io.LimitReader(call.In, mostPassword))
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	text, _, _ = bytes.Cut(text, []byte("\n"))
	if text = bytes.TrimSuffix(text, []byte("\r")); len(text) == 0 {
		return nil, missing
	}
	return text, nil
}

// RemoveUser takes one's password away. After the last one everybody may ask again.
func (p *Platform) RemoveUser(ctx context.Context, call Call, in UserKey) (UserList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return UserList{}, err
	}
	if err := p.changeRules(ctx, call, app, in.User+" may not ask any more", EdgeRule{UserRule, in.User, ""}); err != nil {
		return UserList{}, withHint(err, "see who may: ssh paas auth:report %s", app.Name)
	}
	return p.Users(ctx, call, AppInput{App: in.App})
}

// OpenToAll takes all passwords away.
func (p *Platform) OpenToAll(ctx context.Context, call Call, in AppInput) (UserList, error) {
	have, err := p.Users(ctx, call, in)
	if err != nil || len(have.Users) == 0 {
		return have, err
	}
	app, err := p.find(ctx, in.App)
	if err != nil {
		return have, err
	}
	var list []EdgeRule
	for _, u := range have.Users {
		list = append(list, EdgeRule{UserRule, u, ""})
	}
	if err := p.changeRules(ctx, call, app, "everybody may ask", list...); err != nil {
		return have, err
	}
	return p.Users(ctx, call, in)
}

// Users lists who may ask.
func (p *Platform) Users(ctx context.Context, _ Call, in AppInput) (UserList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return UserList{}, err
	}
	l := UserList{App: app.Name, Users: []string{}}
	_, e, err := p.edge(ctx, app.Name)
	for _, u := range e.Users {
		l.Users = append(l.Users, u.Name)
	}
	return l, err
}

// pageNames are the answers of the router itself that an app may have pages for.
func pageNames() []string {
	return []string{"401", "403", "413", "429", "502", "503", "504", MaintenancePage}
}

// PageInput is pages:set.
type PageInput struct {
	App  string `arg:"app"`
	Page string `arg:"page" help:"401, 403, 413, 429, 502, 503, 504 or maintenance; the HTML comes on stdin"`
}

// PageKey is pages:remove.
type PageKey struct {
	App  string `arg:"app"`
	Page string `arg:"page"`
}

// PageList is an app's own pages.
type PageList struct {
	App   AppName    `json:"app"`
	Pages []PageView `json:"pages"`
}

// PageView is one of them.
type PageView struct {
	Page  string `json:"page"`
	Bytes int64  `json:"bytes"`
}

// Text implements the verbs' output.
func (l PageList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l.Pages {
		rows = append(rows, []string{v.Page, Bytes(v.Bytes)})
	}
	return table(w, nil, rows)
}

func pagesOf(app AppName, e Edge) PageList {
	l := PageList{app, []PageView{}}
	for _, name := range pageNames() {
		if text, ok := e.Pages[name]; ok {
			l.Pages = append(l.Pages, PageView{name, int64(len(text))})
		}
	}
	return l
}

// SetPage has the router answer with an app's own page where it would with its own.
func (p *Platform) SetPage(ctx context.Context, call Call, in PageInput) (PageList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return PageList{}, err
	}
	if !slices.Contains(pageNames(), in.Page) {
		return PageList{}, Errorf(Usage, "there is no page %q: write one of %s", in.Page, strings.Join(pageNames(), ", "))
	}
	text, err := readPage(call)
	if err != nil {
		return PageList{}, err
	}
	if err := p.changeRules(ctx, call, app, "it has a page of its own for "+in.Page, EdgeRule{PageRule, in.Page, string(text)}); err != nil {
		return PageList{}, err
	}
	return p.Pages(ctx, call, AppInput{App: in.App})
}

func readPage(call Call) ([]byte, error) {
	missing := Errorf(Usage, "the page is missing").WithHint("give its HTML on stdin: ssh paas pages:set blog 503 < 503.html")
	if call.In == nil || call.Terminal != nil {
		return nil, missing
	}
	text, err := io.ReadAll(io.LimitReader(call.In, mostPage+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read page: %w", err)
	case len(text) == 0:
		return nil, missing
	case len(text) > mostPage:
		return nil, Errorf(Usage, "the page is larger than %s: it is kept in memory", Bytes(mostPage))
	}
	return text, nil
}

// RemovePage has the router answer with its own page again.
func (p *Platform) RemovePage(ctx context.Context, call Call, in PageKey) (PageList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return PageList{}, err
	}
	if err := p.changeRules(ctx, call, app, "its page for "+in.Page+" was removed", EdgeRule{PageRule, in.Page, ""}); err != nil {
		return PageList{}, withHint(err, "see which there are: ssh paas pages:list %s", app.Name)
	}
	return p.Pages(ctx, call, AppInput{App: in.App})
}

// Pages lists an app's own.
func (p *Platform) Pages(ctx context.Context, _ Call, in AppInput) (PageList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return PageList{}, err
	}
	_, e, err := p.edge(ctx, app.Name)
	return pagesOf(app.Name, e), err
}

// MaintenanceOn has every request of an app answered with a page. Its instances run on.
func (p *Platform) MaintenanceOn(ctx context.Context, call Call, in AppInput) (Done, error) {
	return p.setMaintenance(ctx, call, in, "on", "%s is in maintenance.")
}

// MaintenanceOff undoes MaintenanceOn.
func (p *Platform) MaintenanceOff(ctx context.Context, call Call, in AppInput) (Done, error) {
	return p.setMaintenance(ctx, call, in, "", "%s serves.")
}

func (p *Platform) setMaintenance(ctx context.Context, call Call, in AppInput, value, done string) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	list := []Setting{{Topic: RouterTopic, Key: "maintenance", Value: value}}
	if err := p.changeRouting(ctx, app.Name, func() error {
		return p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, list)
	}); err != nil {
		return Done{}, err
	}
	p.sayRouting(app.Name, call, list)
	return donef(done, app.Name), nil
}

// MaintenanceInput is maintenance:page.
type MaintenanceInput struct {
	App string `arg:"app"`
}

// SetMaintenancePage is SetPage for the one that people look for under this name.
func (p *Platform) SetMaintenancePage(ctx context.Context, call Call, in MaintenanceInput) (PageList, error) {
	return p.SetPage(ctx, call, PageInput{App: in.App, Page: MaintenancePage})
}

// MaintenanceView is whether an app is in maintenance.
type MaintenanceView struct {
	App         AppName `json:"app"`
	Maintenance bool    `json:"maintenance"`
	Page        bool    `json:"page"` // it has one of its own
}

// Text implements the verbs' output.
func (v MaintenanceView) Text(w io.Writer) error {
	_, err := fmt.Fprintln(w, map[bool]string{true: "on", false: "off"}[v.Maintenance])
	return err
}

// Maintenance tells whether an app is in maintenance.
func (p *Platform) Maintenance(ctx context.Context, _ Call, in AppInput) (MaintenanceView, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return MaintenanceView{}, err
	}
	_, e, err := p.edge(ctx, app.Name)
	return MaintenanceView{app.Name, e.Maintenance, e.Pages[MaintenancePage] != nil}, err
}
