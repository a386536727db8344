package manifest

// readBuildpacks reads buildpacks, a list of objects with a url (Heroku's app.json schema).
func (a *App) readBuildpacks(root object) error {
	items, err := root.list("buildpacks")
	if err != nil {
		return err
	}
	for _, item := range items {
		url, err := item.text("url")
		if err != nil {
			return err
		}
		if url == "" {
			return bad(item.at("url"), "it is missing").WithHint(`write {"url": "heroku/nodejs"}`)
		}
		a.Buildpacks = append(a.Buildpacks, url)
	}
	return nil
}
