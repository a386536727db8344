package verbs

import "paas/platform"

// builders is every verb about how source becomes an image.
func builders() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "builder:set", Aliases: []string{"builder-dockerfile:set", "builder-pack:set", "builder-herokuish:set", "app-json:set"},
			Access: Manage, Summary: "Choose the builder, or where in the repository it looks",
			Example: "builder:set blog build-dir services/api"}, (*p).SetBuilder),
		define(Verb{Name: "builder:report", Aliases: []string{"builder", "app-json:report"}, Access: View, Summary: "Show how apps are built",
			Example: "builder:report blog"}, (*p).Builders),
		define(Verb{Name: "buildpacks:add", Access: Manage, Summary: "Add a buildpack to an app",
			Example: "buildpacks:add --index 1 blog heroku/nodejs"}, (*p).AddBuildpack),
		define(Verb{Name: "buildpacks:set", Access: Manage, Summary: "Set an app's buildpack at a place, or all of them",
			Example: "buildpacks:set blog heroku/nodejs heroku/python"}, (*p).SetBuildpacks),
		define(Verb{Name: "buildpacks:remove", Access: Manage, Summary: "Take a buildpack away from an app",
			Example: "buildpacks:remove blog heroku/nodejs"}, (*p).RemoveBuildpack),
		define(Verb{Name: "buildpacks:clear", Access: Manage, Summary: "Take all buildpacks away: the source decides again",
			Example: "buildpacks:clear blog"}, (*p).ClearBuildpacks),
		define(Verb{Name: "buildpacks:list", Aliases: []string{"buildpacks"}, Access: View, Summary: "List the buildpacks that are set",
			Example: "buildpacks:list blog"}, (*p).Buildpacks),
		define(Verb{Name: "buildpacks:detect", Access: View, Summary: "Tell how an app's source would be built",
			Example: "buildpacks:detect blog main"}, (*p).DetectBuildpacks),
		define(Verb{Name: "buildpacks:report", Access: View, Summary: "Show how apps are built",
			Example: "buildpacks:report blog"}, (*p).Builders),
	}
}
