package ruby

import (
	"regexp"

	"paas/buildpacks/source"
)

const bundled = "bundle exec "

// start is the command of the web process, and a warning about it. Servers take the number of their processes from
// WEB_CONCURRENCY by themselves.
func (b builder) start() (command, warning string) {
	switch {
	case b.rails() && b.src.Has("bin/rails"):
		return "ruby bin/rails server -b 0.0.0.0 -p $PORT -e $RAILS_ENV", ""
	case b.rails():
		return bundled + "rails server -b 0.0.0.0 -p $PORT -e $RAILS_ENV", ""
	case b.src.Has("config.ru"):
		return b.rack()
	}
	return b.script(), ""
}

// rack is the server that the app bundles.
func (b builder) rack() (command, warning string) {
	switch {
	case b.gems.has("puma"):
		return bundled + "puma -p $PORT", ""
	case b.gems.has("falcon"):
		return bundled + "falcon serve --bind http://0.0.0.0:$PORT", ""
	case b.gems.has("unicorn") && b.src.Has("config/unicorn.rb"):
		return bundled + "unicorn -p $PORT -c config/unicorn.rb", ""
	case b.gems.has("unicorn"):
		return bundled + "unicorn -p $PORT", ""
	case b.gems.has("thin"):
		return bundled + "thin start -R config.ru -p $PORT", ""
	case b.gems.file == "":
		return "rackup -o 0.0.0.0 -p $PORT", "config.ru is there, but no Gemfile: nothing says which gems it needs."
	}
	return bundled + "rackup -o 0.0.0.0 -p $PORT", "The app bundles no server of its own. Add one: bundle add puma."
}

// Sinatra's classic style starts a server when the script is run, and takes its options.
var sinatra = regexp.MustCompile(`(?m)^\s*require\s+['"]sinatra['"]`)

func (b builder) script() string {
	file, ok := b.src.First("app.rb", "main.rb", "server.rb", "web.rb")
	if !ok {
		return ""
	}
	command := bundled + "ruby " + file
	if b.gems.file == "" {
		command = "ruby " + file
	}
	if isClassic(b.src, file) {
		return command + " -o 0.0.0.0 -p $PORT"
	}
	return command
}

func isClassic(src *source.Tree, file string) bool {
	text, err := src.Read(file, maxText)
	return err == nil && sinatra.Match(text)
}
