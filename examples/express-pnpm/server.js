const express = require('express')
const { existsSync } = require('node:fs')

const app = express()
app.get('/', (req, res) => {
  res.type('text').send(`Hello from Express, installed by pnpm; development tools: ${existsSync('node_modules/nanoid')}\n`)
})
app.listen(process.env.PORT || 3000)
