package verbs

import "paas/platform"

// distribution is every verb about whole images and the registries that they come from and go to.
func distribution() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "images:deploy", Access: Deploy, Summary: "Release an image from a registry",
			Example: "images:deploy blog registry.example.org/alice/blog:1.4"}, (*p).DeployImage),
		define(Verb{Name: "images:pull", Access: Manage, Summary: "Fetch an image from another registry",
			Example: "images:pull nginx:1.27"}, (*p).PullImage),
		define(Verb{Name: "images:push", Access: Deploy, Summary: "Send a release's image to another registry",
			Example: "images:push blog@v12 registry.example.org/alice/blog:v12"}, (*p).PushImage),
		define(Verb{Name: "images:load", Summary: "Read images from a docker save archive or an OCI layout",
			Example: "images:load < image.tar"}, (*p).LoadImages),
		define(Verb{Name: "images:save", Archive: true, Access: Deploy, Summary: "Write a release's image as an archive",
			Example: "images:save blog@v12 > image.tar"}, (*p).SaveImage),
		define(Verb{Name: "images:pulled", Access: Anyone, Summary: "List images that were pulled or loaded",
			Example: "images:pulled"}, (*p).ListPulled),
		define(Verb{Name: "images:forget", Summary: "Let go of a pulled or loaded image",
			Example: "images:forget nginx:1.27"}, (*p).ForgetPulled),

		define(Verb{Name: "registry:login", Summary: "Store a login to another registry, password on stdin",
			Example: "registry:login registry.example.org alice < password"}, (*p).Login),
		define(Verb{Name: "registry:logout", Summary: "Forget a login to another registry",
			Example: "registry:logout registry.example.org"}, (*p).Logout),
		define(Verb{Name: "registry:list", Summary: "List logins to other registries",
			Example: "registry:list"}, (*p).ListLogins),
	}
}
