const express = require('express')

const app = express()
app.get('/', (req, res) => {
  res.type('text').send(`Hello from Express, loaded by Yarn's Plug'n'Play: ${Boolean(process.versions.pnp)}\n`)
})
app.listen(process.env.PORT || 3000)
