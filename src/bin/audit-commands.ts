import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { asOwner } from '../service/audit-owner.ts'
import { LEAST_DAYS, pruneAudit } from '../service/audit-prune.ts'
import { shippedSchema, type ShippedCheckpoint } from '../service/audit-verify-checkpoints.ts'
import { verifyChain, type Verdict } from '../service/audit-verify.ts'
import type { Keyring } from '../service/keyring.ts'
import { Failure } from './config.ts'

interface At {
  url: string
  keyring: Keyring
}

/** `audit:verify [--json] [--checkpoints FILE]…`: exit 1 when anything was changed afterwards. */
export async function auditVerify(args: string[], { url, keyring }: At): Promise<void> {
  const { json, checkpoints } = parseArgs({ args, options: { json: { type: 'boolean', default: false }, checkpoints: { type: 'string', multiple: true, default: [] } } }).values
  const shipped = (await Promise.all(checkpoints.map(readCheckpoints))).flat()
  let told = 0
  const progress = (checked: number, of: number) => {
    // Once in so many: a million links take about half a minute.
    if (json || checked - told < 100_000) return
    told = checked
    console.error(`checked ${checked} of ${of}`)
  }
  const verdict = await asOwner(url, (client) => verifyChain(client, keyring, { shipped, progress }))
  if (json) console.log(JSON.stringify(verdict))
  else for (const line of inWords(verdict)) console.log(line)
  if (!verdict.ok) process.exitCode = 1
}

function inWords({ ok, links, entries, checkpoints, pending, from, head, found, faults }: Verdict): string[] {
  const chain = `${links} links (${entries} audit entries) and ${checkpoints} checkpoints after position ${from}${head ? ` up to ${head.position}` : ''}, ${pending} events not in the chain yet`
  if (ok) return [`audit chain intact: ${chain}`]
  return [
    `audit chain BROKEN: ${found} faults in ${chain}`,
    ...faults.map(({ kind, table, ...where }) => `  ${kind.padEnd(9)} ${table.padEnd(16)} ${Object.entries(where).map(([name, value]) => `${name} ${value}`).join(', ')}`),
  ]
}

/** Lines of JSON: log lines with `checkpoint` in them, checkpoints themselves, or an answer of `GET /v1/audit/checkpoints`. */
async function readCheckpoints(file: string): Promise<ShippedCheckpoint[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => { throw new Failure(`${file} cannot be read (${error.code})`) })
  const found = text.split('\n').flatMap((line) => checkpointsIn(line))
  if (found.length === 0) throw new Failure(`${file} has no checkpoints in it`)
  return found
}

function checkpointsIn(line: string): ShippedCheckpoint[] {
  if (!line.includes('"signature"')) return []
  const parsed = jsonOf(line)
  const listed = Array.isArray(parsed?.['data']) ? parsed['data'] : [parsed?.['checkpoint'] ?? parsed]
  return listed.flatMap((one) => {
    const { data } = shippedSchema.safeParse(one)
    return data ? [data] : []
  })
}

function jsonOf(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return undefined // a line of something else
  }
}

/** `audit:prune --days N`: the oldest part, up to a checkpoint. */
export async function auditPrune(args: string[], { url, keyring }: At): Promise<void> {
  const { days: given } = parseArgs({ args, options: { days: { type: 'string' } } }).values
  const days = Number(given)
  if (!Number.isInteger(days) || days < LEAST_DAYS) throw new Failure(`--days must be a whole number, ${LEAST_DAYS} at least`)
  const { links, entries, from } = await asOwner(url, (client) => pruneAudit(client, keyring, { days }))
  console.log(from === null ? `nothing is older than ${days} days` : `removed ${links} links and ${entries} audit entries; the chain begins after position ${from}`)
}
