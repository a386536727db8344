package verbs

import "paas/platform"

// things is every verb about what apps are as a whole, what they keep, and what was destroyed. Most are Dokku's.
func things() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "apps:destroy", Aliases: []string{"apps:delete"}, Access: Manage, Summary: "Destroy an app; the trash keeps it for some days",
			Example: "apps:destroy blog --confirm blog", Another: "apps:destroy blog --dry-run"}, (*p).Destroy),
		define(Verb{Name: "apps:rename", Access: Manage, Summary: "Give an app another name, without dropping a request",
			Example: "apps:rename blog journal", Another: "apps:rename blog blog-old"}, (*p).Rename),
		define(Verb{Name: "apps:clone", Aliases: []string{"apps:fork"}, Access: Manage, Summary: "Make an app with another one's code, config and formation",
			Example: "apps:clone blog blog-staging", Another: "apps:clone blog blog-staging --skip-deploy"}, (*p).Clone),
		define(Verb{Name: "apps:lock", Access: Deploy, Summary: "Keep an app from being deployed, and say why",
			Example: `apps:lock blog -m "moving the database"`, Another: "apps:lock blog"}, (*p).LockApp),
		define(Verb{Name: "apps:unlock", Access: Deploy, Summary: "Let a locked app be deployed again",
			Example: "apps:unlock blog", Another: "apps:unlock -a blog"}, (*p).UnlockApp),
		define(Verb{Name: "apps:locked", Access: View, Summary: "Tell whether an app is locked; status 1 if it is not",
			Example: "apps:locked blog", Another: "apps:locked blog --json"}, (*p).LockedApp),
		define(Verb{Name: "apps:exists", Access: View, Summary: "Tell whether there is an app; status 3 if not",
			Example: "apps:exists blog", Another: "apps:exists blog --json"}, (*p).Exists),
		define(Verb{Name: "apps:report", Access: View, Summary: "Show everything about an app, or about all",
			Example: "apps:report blog", Another: "apps:report --json"}, (*p).Report),
		define(Verb{Name: "apps:import", Summary: "Make here what a Dokku host has, from its own reports",
			Example: "apps:import --script > export.sh", Another: "apps:import --dry-run < bundle.txt"}, (*p).Import),

		define(Verb{Name: "storage:create", Summary: "Make a volume: a directory that outlives releases",
			Example: "storage:create uploads --size 10g", Another: "storage:create uploads --for blog --if-missing"}, (*p).CreateVolume),
		define(Verb{Name: "storage:ensure-directory", Summary: "Make a volume unless it is there (Dokku's word)",
			Example: "storage:ensure-directory uploads", Another: "storage:ensure-directory --chown heroku uploads"}, (*p).EnsureVolume),
		define(Verb{Name: "storage:mount", Access: Manage, Summary: "Show a volume in an app's instances",
			Example: "storage:mount blog uploads:/app/uploads", Another: "storage:mount blog uploads:/data --process worker --read-only"}, (*p).MountVolume),
		define(Verb{Name: "storage:unmount", Access: Manage, Summary: "Take a volume out of an app; its content stays",
			Example: "storage:unmount blog uploads", Another: "storage:unmount blog uploads:/app/uploads"}, (*p).UnmountVolume),
		define(Verb{Name: "storage:list", Aliases: []string{"storage", "storage:list-entries", "storage:report"}, Access: View, Summary: "List volumes, what they take, and where they are mounted",
			Example: "storage:list", Another: "storage:list blog --json"}, (*p).ListVolumes),
		define(Verb{Name: "storage:info", Summary: "Show one volume",
			Example: "storage:info uploads", Another: "storage:info uploads --json"}, (*p).InfoOfVolume),
		define(Verb{Name: "storage:set", Aliases: []string{"storage:resize"}, Summary: "Change what a volume may take",
			Example: "storage:set uploads size=20g", Another: "storage:set uploads size=clear"}, (*p).SetVolume),
		define(Verb{Name: "storage:destroy", Summary: "Destroy a volume; the trash keeps it for some days",
			Example: "storage:destroy uploads --confirm uploads", Another: "storage:destroy uploads --dry-run"}, (*p).DestroyVolume),

		define(Verb{Name: "trash:list", Aliases: []string{"trash"}, Access: Anyone, Reads: true, Summary: "List what was destroyed and can be had back",
			Example: "trash:list", Another: "trash:list --json"}, (*p).ListTrash),
		define(Verb{Name: "trash:restore", Aliases: []string{"apps:restore"}, Access: Anyone, Summary: "Bring back an app, a volume or config vars",
			Example: "trash:restore blog", Another: "trash:restore 12 --as blog-2"}, (*p).RestoreTrash),
		define(Verb{Name: "trash:empty", Summary: "Remove for good what lies in the trash",
			Example: "trash:empty blog --confirm blog", Another: "trash:empty --confirm trash"}, (*p).EmptyTrash),
		define(Verb{Name: "trash:set", Summary: "Set how long what was destroyed is kept",
			Example: "trash:set keep=14d", Another: "trash:set keep=clear"}, (*p).SetTrash),

		define(Verb{Name: "network:list", Access: Anyone, Summary: "Say who reaches whom: apps are closed until links open a way",
			Example: "network:list", Another: "network:list --json"}, (*p).ListNetworks),
		define(Verb{Name: "network:report", Aliases: []string{"network"}, Access: View, Summary: "Show an app's names inside, its links and its internet",
			Example: "network:report shop", Another: "network:report shop --json"}, (*p).ReportNetwork),
	}
}
