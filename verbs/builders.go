package verbs

import "paas/platform"

// builders is every verb about how source becomes an image.
func builders() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "builder:set", Aliases: []string{"builder-dockerfile:set", "builder-pack:set", "builder-herokuish:set", "app-json:set"},
			Access: Member, Summary: "Choose the builder, or where in the repository it looks",
			Example: "builder:set blog build-dir services/api"}, (*p).SetBuilder),
		define(Verb{Name: "builder:report", Aliases: []string{"builder"}, Access: Member, Summary: "Show how apps are built",
			Example: "builder:report blog"}, (*p).Builders),
		define(Verb{Name: "buildpacks:add", Access: Member, Summary: "Add a buildpack to an app",
			Example: "buildpacks:add --index 1 blog heroku/nodejs"}, (*p).AddBuildpack),
		define(Verb{Name: "buildpacks:set", Access: Member, Summary: "Set an app's buildpack at a place, or all of them",
			Example: "buildpacks:set blog heroku/nodejs heroku/python"}, (*p).SetBuildpacks),
		define(Verb{Name: "buildpacks:remove", Access: Member, Summary: "Take a buildpack away from an app",
			Example: "buildpacks:remove blog heroku/nodejs"}, (*p).RemoveBuildpack),
		define(Verb{Name: "buildpacks:clear", Access: Member, Summary: "Take all buildpacks away: the source decides again",
			Example: "buildpacks:clear blog"}, (*p).ClearBuildpacks),
		define(Verb{Name: "buildpacks:list", Aliases: []string{"buildpacks"}, Access: Member, Summary: "List the buildpacks that are set",
			Example: "buildpacks:list blog"}, (*p).Buildpacks),
		define(Verb{Name: "buildpacks:detect", Access: Member, Summary: "Tell how an app's source would be built",
			Example: "buildpacks:detect blog main"}, (*p).DetectBuildpacks),
		define(Verb{Name: "buildpacks:report", Access: Member, Summary: "Show how apps are built",
			Example: "buildpacks:report blog"}, (*p).Builders),
	}
}
