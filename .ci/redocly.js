// Runs Redocly on the API's document, without its telemetry and its look for updates.
//   node .ci/redocly.js lint                          0 errors and 0 warnings, or exit 1
//   node .ci/redocly.js diff LANDED [--accept WHY]    no breaking change since LANDED but those in openapi/accepted-breaks.json
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
const DOCUMENT = process.env.OPENAPI_DOCUMENT ?? 'openapi/openapi.json'
const ACCEPTED = join(ROOT, 'openapi/accepted-breaks.json')

function redocly(cwd, ...args) {
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', REDOCLY_SUPPRESS_NOTIFICATIONS: 'true' }
  const { stdout, stderr, error } = spawnSync(process.execPath, [join(ROOT, 'node_modules/@redocly/cli/bin/cli.js'), ...args], { cwd, env, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (error) throw error
  try {
    return JSON.parse(stdout)
  } catch {
    throw new Error(`redocly ${args.join(' ')} said no JSON:\n${stdout}\n${stderr}`)
  }
}

function lint() {
  const { totals, problems } = redocly(ROOT, 'lint', DOCUMENT, '--config', 'redocly.yaml', '--format', 'json', '--max-problems', '1000')
  for (const { severity, ruleId, message, location } of problems) console.error(`${severity} ${ruleId} ${location?.[0]?.pointer ?? ''}: ${message}`)
  console.log(`${DOCUMENT}: ${totals.errors} errors, ${totals.warnings} warnings, ${totals.ignored} ignored`)
  return totals.errors + totals.warnings + totals.ignored === 0
}

const nameOf = ({ path, kind, property }) => [kind, path, property].filter(Boolean).join(' ')

/** Accepted breaks are for the next landing: they count while the landed document is the one they were written for. */
function diff(landed, why) {
  // its rules for what breaks are those of no config: where redocly.yaml is found, it knows none
  const { bump, changes } = redocly(tmpdir(), 'diff', resolve(landed), resolve(ROOT, DOCUMENT), '--format', 'json', '--fail-on', 'none')
  const since = createHash('sha256').update(readFileSync(landed)).digest('hex').slice(0, 16)
  const breaks = [...new Map(changes.filter(({ impact }) => impact === 'major').map((change) => [nameOf(change), change])).values()]
  if (why !== undefined) {
    if (breaks.length === 0) rmSync(ACCEPTED, { force: true })
    else writeFileSync(ACCEPTED, `${JSON.stringify({ since, why, breaks: breaks.map(nameOf).sort() }, null, 2)}\n`)
  }
  const written = existsSync(ACCEPTED) ? JSON.parse(readFileSync(ACCEPTED, 'utf8')) : { since, breaks: [] }
  const accepted = new Set(written.since === since ? written.breaks : [])
  const refused = breaks.filter((change) => !accepted.has(nameOf(change)))
  for (const change of refused) console.error(`breaks clients: ${nameOf(change)}: ${change.verdicts.map(({ message, ruleId }) => message ?? ruleId).join('; ')}`)
  console.log(`${changes.length} changes since the landed document (${since}), ${bump ?? 'none'}: ${breaks.length} breaking, ${breaks.length - refused.length} of them accepted`)
  return refused.length === 0
}

const [command, landed, flag, why] = process.argv.slice(2)
const good = command === 'lint' ? lint() : command === 'diff' && landed ? diff(landed, flag === '--accept' ? why ?? '' : undefined) : undefined
if (good === undefined) console.error('node .ci/redocly.js lint | diff LANDED [--accept WHY]')
process.exit(good ? 0 : 1)
