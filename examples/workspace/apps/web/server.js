const { createServer } = require('node:http')
const { readFileSync } = require('node:fs')
const ms = require('ms')

const page = readFileSync('dist/page.txt')
createServer((req, res) => res.end(page + ms(process.uptime() * 1000) + '\n')).listen(process.env.PORT || 3000)
