package platform

import (
	"context"
	"fmt"
	"io"
)

// Address is where visitors find an app.
type Address struct {
	App AppName `json:"app"`
	URL string  `json:"url"`
}

// Text implements the verbs' output.
func (a Address) Text(w io.Writer) error {
	_, err := fmt.Fprintln(w, a.URL)
	return err
}

// Open tells an app's address. A browser is at the caller's end: there is none to open here.
func (p *Platform) Open(ctx context.Context, _ Call, in AppInput) (Address, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Address{}, err
	}
	return Address{app.Name, p.URL(app.Name)}, nil
}

// AddressList is urls, the app's default address first.
type AddressList []Address

// Text implements the verbs' output.
func (l AddressList) Text(w io.Writer) error {
	for _, a := range l {
		if err := a.Text(w); err != nil {
			return err
		}
	}
	return nil
}

// URLs tells every address that the app answers at.
func (p *Platform) URLs(ctx context.Context, _ Call, in AppInput) (AddressList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	hosts, err := p.hosts(ctx, app.Name)
	list := AddressList{{app.Name, p.URL(app.Name)}}
	for _, host := range hosts {
		if url := p.urlOf(host); url != list[0].URL {
			list = append(list, Address{app.Name, url})
		}
	}
	return list, err
}

// urlOf is the address of a hostname.
func (p *Platform) urlOf(host string) string {
	if p.Certificates != nil && p.Certificates.Secured(host, true) {
		return "https://" + host + portSuffix(p.Settings.HTTPSPort, 443)
	}
	return "http://" + host + portSuffix(p.Settings.HTTPPort, 80)
}
