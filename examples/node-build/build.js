import { mkdir, readFile, writeFile } from "node:fs/promises";
import { marked } from "marked";

const page = (body) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Built by Node.js</title>
<body>
${body}</body>
</html>
`;

await mkdir("dist", { recursive: true });
await writeFile("dist/index.html", page(marked.parse(await readFile("pages/index.md", "utf8"))));
await writeFile("dist/server.js", await readFile("src/server.js"));
console.log("made dist/index.html and dist/server.js");
