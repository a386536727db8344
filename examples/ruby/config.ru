# frozen_string_literal: true

# greeting comes from vendor/cache, puma from Debian (Aptfile): the build asks no gem server.
require "bundler/setup"
require "greeting"

run lambda { |env|
  found = env["PATH_INFO"] == "/"
  [found ? 200 : 404, { "content-type" => "text/plain" }, ["#{Greeting.greet("Ruby #{RUBY_VERSION}")}\n"]]
}
