import { afterAll, beforeAll, expect, test } from 'vitest'
import { asOwner } from '../../src/service/audit-owner.ts'
import { shippedSchema } from '../../src/service/audit-verify-checkpoints.ts'
import { verifyChain } from '../../src/service/audit-verify.ts'
import { auditedTown, type AuditedTown } from '../audited.ts'
import { eventually, keyring, startProcess, type Running } from '../processes.ts'

/** Two real workers at one chain, and one after the other is killed in the middle of it. */

const dist = process.env['WISHWALL_TEST_DIST'] ?? 'dist'
let audited: AuditedTown
const running: Running[] = []
const KILLS = 3

beforeAll(async () => { audited = await auditedTown() })
afterAll(async () => {
  await Promise.all(running.map((worker) => worker.stop('SIGKILL')))
  await audited.database.drop()
})

const worker = async (): Promise<Running> => {
  const one = await startProcess('worker', { DATABASE_URL: audited.database.url }, dist)
  running.push(one)
  return one
}
const linked = async (): Promise<number> => (await audited.database.owner.query<{ n: string }>('SELECT n FROM audit_head')).rows.map(({ n }) => Number(n))[0]!
const check = () => asOwner(audited.database.url, (client) => verifyChain(client, keyring))

test(`is whole after ${KILLS} kills, at every one of them and in the end, with a link for every event and entry`, async () => {
  let [first, second] = await Promise.all([worker(), worker()])
  let over = false
  const living = (async () => { while (!over) await audited.live(2) })()
  for (let kill = 0; kill < KILLS; kill++) {
    const before = await linked()
    await eventually(async () => (await linked()) > before + 8)
    await first.stop('SIGKILL')
    expect(await check()).toMatchObject({ ok: true })
    ;[first, second] = [second, await worker()]
  }
  over = true
  await living
  const { rows: [all] } = await audited.database.owner.query<{ n: number }>('SELECT ((SELECT count(*) FROM event) + (SELECT count(*) FROM audit_entry))::int AS n')
  await eventually(async () => (await linked()) === all!.n)
  expect(await check()).toMatchObject({ ok: true, pending: 0, links: all!.n })
  const logs = running.map((one) => one.log()).join('')
  expect(logs).not.toContain('audit chain ends before')
  // A checkpoint is a line of the log, such as audit:verify reads; none has been due yet unless the machine is slow.
  for (const line of logs.split('\n').filter((text) => text.includes('audit checkpoint'))) expect(shippedSchema.safeParse((JSON.parse(line) as { checkpoint: unknown }).checkpoint).success).toBe(true)
}, 120_000)
