package verbs

import "paas/platform"

// stacks is every verb about base images.
func stacks() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "stacks:list", Aliases: []string{"stacks"}, Access: Anyone, Summary: "List base images with the apps on them",
			Example: "stacks:list"}, (*p).ListStacks),
		define(Verb{Name: "stacks:update", Summary: "Get Debian's updates, and put apps on them without a build",
			Example: "stacks:update debian"}, (*p).UpdateStack),
		define(Verb{Name: "stacks:rollback", Summary: "Put apps on an earlier version of a base image again",
			Example: "stacks:rollback debian v1"}, (*p).RollbackStack),
		define(Verb{Name: "stacks:set", Summary: "Make a base image of a container image",
			Example: "stacks:set ours --image registry.example.org/ops/trixie:2"}, (*p).SetStack),
		define(Verb{Name: "stacks:use", Access: Manage, Summary: "Show or set what an app's next push builds on",
			Example: "stacks:use blog ours"}, (*p).UseStack),
		define(Verb{Name: "stacks:export", Archive: true, Summary: "Write a base image as an archive",
			Example: "stacks:export debian > debian.tar.zst"}, (*p).ExportStack),
		define(Verb{Name: "stacks:import", Summary: "Read a base image from an archive",
			Example: "stacks:import debian < debian.tar.zst"}, (*p).ImportStack),
	}
}

// code is every verb about where an app's code comes from, other than a push. Most are Dokku's, by name and words.
func code() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "git:from-image", Access: Deploy, Summary: "Release an image from a registry",
			Example: "git:from-image blog registry.example.org/alice/blog:1.4"}, (*p).FromImage),
		define(Verb{Name: "git:load-image", Access: Deploy, Summary: "Release an image out of a docker save archive",
			Example: "git:load-image blog blog:1.4 < image.tar"}, (*p).LoadImage),
		define(Verb{Name: "git:from-archive", Access: Deploy, Summary: "Commit and deploy a source archive",
			Example: "git:from-archive blog https://example.org/blog.tar.gz"}, (*p).FromArchive),
		define(Verb{Name: "git:set", Access: Manage, Summary: "Set which branch's pushes deploy",
			Example: "git:set blog deploy-branch production"}, (*p).SetGit),
		define(Verb{Name: "git:report", Access: View, Summary: "Show where an app's code comes from",
			Example: "git:report blog --json"}, (*p).ReportGit),
	}
}
