package verbs

// another is a second example of each verb, of another use than the one beside its declaration.
var another = map[string]string{
	"apps:create": "apps:create blog --if-missing", "apps:list": "apps", "apps:info": "apps:info blog --json",
	"apps:destroy": "apps:destroy blog",

	"ps": "ps -a blog --json", "ps:scale": "ps:scale blog web=+1 --no-wait", "ps:restart": "ps:restart blog --timeout 5m",
	"ps:stop": "ps:stop -a blog", "ps:start": "ps:start -a blog", "ps:pause": "ps:pause blog worker", "ps:resume": "ps:resume blog web.1",
	"ps:restart-policy": "ps:restart-policy blog", "ps:stats": "ps:stats blog --json", "router:stats": "router:stats blog",
	"ps:diff": "ps:diff blog worker.2 --json", "ps:commit": "ps:commit blog worker.1 --json", "ps:cp-out": "ps:cp-out blog web.1 /tmp/heap.dump > heap.tar",
	"ps:cp-in": "ps:cp-in blog web.1 /srv < files.tar", "ps:rebuild": "ps:rebuild --all", "ps:set": "ps:set blog idle off",
	"ps:report": "ps:report blog", "ps:sleep": "ps:sleep blog --stop", "ps:wake": "ps:wake -a blog",

	"resource:limit": "resource:limit blog memory=1g", "resource:limit-clear": "resource:limit-clear blog",
	"resource:reserve": "resource:reserve blog memory=128m -p worker", "resource:reserve-clear": "resource:reserve-clear blog -p worker",
	"resource:report": "resource:report blog", "security:set": "security:set blog cap-add=clear", "security:report": "security blog --json", "doctor": "doctor",

	"ports:add": "ports:add game udp:27015:27015", "ports:set": "ports:set db tcp:5432:5432 --process postgres", "ports:remove": "ports:remove game udp:27015:27015",
	"ports:clear": "ports:clear -a game", "ports:list": "ports:list db --json", "ports:report": "ports:report game",
	"links:add": "links:add shop payments", "links:remove": "links:remove shop payments", "links:list": "links shop --json",
	"network:egress": "network:egress shop",

	"logs": "logs blog --json", "attach": "attach blog worker.1", "events": "events --json", "releases": "releases blog --json", "rollback": "rollback blog",
	"builds:list": "builds", "builds:info": "builds:info blog --json", "builds:output": "builds:output blog", "builds:cancel": "builds:cancel blog 12",
	"builds:explain": "builds:explain blog --json", "builds:set": "builds:set blog memory=clear", "builds:report": "builds:report blog --json", "builds:prune": "builds:prune",
	"exec": "exec blog -- sh", "run": "run -e DEBUG=1 blog -- rake db:migrate",

	"images:list": "images --json", "images:tree": "images:tree blog", "disk": "disk --json", "images:explore": "images:explore blog",
	"images:deploy": "images:deploy blog library/nginx:1.27", "images:pull": "images:pull registry.example.org/alice/blog:1.4",
	"images:push": "images:push blog registry.example.org/alice/blog:latest", "images:load": "images:load --json < image.tar", "images:save": "images:save blog > image.tar",
	"images:pulled": "images:pulled --json", "images:forget": "images:forget registry.example.org/alice/blog:1.4",
	"registry:login": "registry:login docker.io alice < token", "registry:logout": "registry:logout docker.io", "registry:list": "registry:list --json",

	"keys:add": "keys:add root2 --admin < id_ed25519.pub", "keys:list": "keys --json", "keys:remove": "keys:remove alice --json",
	"tokens:create": "tokens:create deploy --read-only", "tokens:list": "tokens --json", "tokens:revoke": "tokens:revoke deploy --json",

	"domains:add": "domains:add blog '*.example.com' example.com", "domains:remove": "domains:remove -a blog example.com", "domains:set": "domains:set blog www.example.com",
	"domains:clear": "domains:clear -a blog", "domains:report": "domains --json", "domains:add-global": "domains:add-global a.example.org b.example.org",
	"domains:set-global": "domains:set-global a.example.org b.example.org", "domains:remove-global": "domains:remove-global a.example.org --json", "domains:clear-global": "domains:clear-global --json",

	"certs:report": "certs --json", "certs:set": "certs:set blog https=redirect", "certs:renew": "certs:renew blog --force", "certs:revoke": "certs:revoke blog www.example.com",
	"certs:add": "certs:add -a blog < certificate-and-key.pem", "certs:update": "certs:update blog < renewed.pem", "certs:remove": "certs:remove blog",
	"certs:generate": "certs:generate blog example.com > request.pem", "certs:show": "certs:show blog key > key.pem", "certs:ca": "certs:ca --json",

	"builder:set": "builder:set blog selected dockerfile", "builder:report": "builder blog --json", "buildpacks:add": "buildpacks:add blog heroku/python",
	"buildpacks:set": "buildpacks:set --index 1 blog heroku/ruby", "buildpacks:remove": "buildpacks:remove -a blog heroku/python", "buildpacks:clear": "buildpacks:clear -a blog",
	"buildpacks:list": "buildpacks blog --json", "buildpacks:detect": "buildpacks:detect blog", "buildpacks:report": "buildpacks:report blog --json",

	"stacks:list": "stacks --json", "stacks:update": "stacks:update debian --timeout 1h", "stacks:rollback": "stacks:rollback debian v1 --json",
	"stacks:set": "stacks:set ours --image registry.example.org/ops/trixie:3", "stacks:use": "stacks:use blog", "stacks:export": "stacks:export ours > ours.tar.zst", "stacks:import": "stacks:import ours < ours.tar.zst",
	"git:from-image": "git:from-image blog nginx:1.27", "git:load-image": "git:load-image -a blog blog:1.5 < image.tar", "git:from-archive": "git:from-archive blog - < source.tar.gz",
	"git:set": "git:set blog deploy-branch", "git:report": "git:report blog",

	"router:set": "router:set blog rate-limit", "router:report": "router blog", "redirects:add": "redirects:add blog /old /new", "redirects:remove": "redirects:remove blog www.example.com",
	"redirects:list": "redirects blog --json", "paths:add": "paths:add blog /live worker", "paths:remove": "paths:remove -a blog /live", "paths:list": "paths blog --json",
	"auth:add": "auth:add blog bob < password", "auth:remove": "auth:remove -a blog bob", "auth:off": "auth:off -a blog", "auth:report": "auth blog --json",
	"maintenance:on": "maintenance:on -a blog", "maintenance:off": "maintenance:off -a blog", "maintenance:page": "maintenance:page -a blog < sorry.html", "maintenance:report": "maintenance blog --json",
	"pages:set": "pages:set blog 404 < 404.html", "pages:remove": "pages:remove blog 404", "pages:list": "pages blog --json",
	"releases:canary": "releases:canary blog 5%", "releases:promote": "releases:promote -a blog", "releases:abort": "releases:abort -a blog",
}
