"use strict";

const express = require("express");
const { WebSocketServer } = require("ws");

const port = process.env.PORT || 5000;
const app = express();
app.disable("x-powered-by");

const who = () => [process.env.PAAS_RELEASE, process.env.DYNO].filter(Boolean).join(" ");

app.get("/", (request, response) => {
  response.type("text").send(`Hello from Node.js ${process.version} ${who()}\n`);
});

app.get("/healthz", (request, response) => {
  response.type("text").send("ok\n");
});

// /slow?ms=2000 answers late: deploy while it waits, and see that it is answered.
app.get("/slow", (request, response) => {
  const ms = Math.min(Number(request.query.ms) || 2000, 60000);
  setTimeout(() => response.type("text").send(`Waited ${ms} ms ${who()}\n`), ms);
});

const server = app.listen(port, () => console.log(`listening on ${port}`));

const sockets = new WebSocketServer({ server, path: "/ws" });
sockets.on("connection", (socket) => {
  socket.on("error", console.error);
  socket.on("message", (data, binary) => socket.send(data, { binary }));
});

// Requests in flight are finished, new ones go to the next release; sockets are told to come back.
let stopping = false;
process.on("SIGTERM", () => {
  if (stopping) return;
  stopping = true;
  console.log("SIGTERM: finishing requests");
  for (const socket of sockets.clients) socket.close(1001, "restarting");
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
