// Says what the build left.
const { readFileSync } = require("fs");
require("http").createServer((_, res) => res.end(readFileSync("built"))).listen(process.env.PORT);
