#!/usr/bin/env node
import { COMMANDS } from './commands.ts'

const [, , word = '', ...args] = process.argv
const command = COMMANDS[word]
if (command) await command.run(args)
else {
  console.error(['usage: wish-wall COMMAND', '', ...Object.entries(COMMANDS).map(([name, { says }]) => `  ${name.padEnd(15)} ${says}`)].join('\n'))
  process.exitCode = 2
}
