import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const port = process.env.PORT || 5000;
const page = await readFile(new URL("index.html", import.meta.url));

const server = createServer((request, response) => {
  if (request.url !== "/") {
    response.writeHead(404).end("not here\n");
    return;
  }
  response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" }).end(page);
});

server.listen(port, () => console.log(`listening on ${port}`));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
