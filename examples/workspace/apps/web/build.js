const { mkdirSync, writeFileSync } = require('node:fs')
const { greeting } = require('@hello/greeting')

mkdirSync('dist', { recursive: true })
writeFileSync('dist/page.txt', greeting('a workspace') + '\n')
